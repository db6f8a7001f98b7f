/**
 * The folder of an instance that nobody gave an identity: it keeps a pod uid and a secret key over restarts, and one
 * process at a time holds it.
 *
 * The lock is SQLite's exclusive file lock: the kernel drops it when the process dies, however that happens, so
 * there is no stale lock to judge (pid files can name a stranger; Node has no flock of its own).
 */
import { randomBytes, randomUUID } from "node:crypto";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A folder this process holds until {@link ClaimedDataDir.release}. Keep the object: losing it releases the lock. */
export interface ClaimedDataDir {
  kind: "claimed";
  path: string;
  /** The same over restarts. */
  podUid: string;
  /** 32 random bytes, the same over restarts. */
  secretKey: Uint8Array;
  release(): void;
}

const SQLITE_BUSY = 5;

/** Creates the folder if missing and takes it; `held` when another process has it. */
export async function claimDataDir(path: string): Promise<ClaimedDataDir | { kind: "held" }> {
  await mkdir(path, { recursive: true });
  // Only to be passed through: an embedded Postgres below it may belong to another user.
  await chmod(path, 0o711);
  const lock = await takeLock(join(path, "lock"));
  if (lock === null) return { kind: "held" };
  try {
    const podUid = await keptText(join(path, "pod-uid"), randomUUID);
    const secretKey = Buffer.from(
      await keptText(join(path, "secret-key"), () => randomBytes(32).toString("base64")),
      "base64",
    );
    return { kind: "claimed", path, podUid, secretKey, release: lock };
  } catch (error) {
    lock();
    throw error;
  }
}

async function takeLock(file: string): Promise<(() => void) | null> {
  // Imported late: older Nodes lack it, and most instances never need it.
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(file);
  try {
    database.exec("begin exclusive");
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return null;
    throw error;
  }
  return () => database.close();
}

/** Written under another name first, so that a crash leaves no half of a key. */
async function keptText(file: string, create: () => string): Promise<string> {
  const kept = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  if (kept.trim() !== "") return kept.trim();
  const text = create();
  await writeFile(`${file}.draft`, `${text}\n`, { mode: 0o600, flush: true });
  await rename(`${file}.draft`, file);
  return text;
}
