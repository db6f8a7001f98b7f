/** A clock that a test sets for single processes, by libfaketime; the machine's own clock is not touched. */
import { access, chmod, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FakeClock {
  /** Makes a process see this clock. Monotonic time goes on as it is. */
  readonly env: Record<string, string>;
  /** A program that becomes the given one under this clock. */
  wrap(program: string): Promise<string>;
  /** From here on the clock is so many seconds off, forward or back. */
  set(offsetSeconds: number): Promise<void>;
  close(): Promise<void>;
}

/** Rejects, with a message that says how to get it, where the library is missing. */
export async function openFakeClock(): Promise<FakeClock> {
  const library = await findLibrary();
  const directory = await mkdtemp(join(tmpdir(), "durable-agent-clock-"));
  // A Postgres started by root runs as another user.
  await chmod(directory, 0o755);
  const file = join(directory, "offset");
  // The processes read the file whenever they ask for the time, so it is there in one piece at every moment.
  const set = async (offsetSeconds: number) => {
    await writeFile(`${file}.next`, `${offsetSeconds < 0 ? "" : "+"}${offsetSeconds}s\n`);
    await rename(`${file}.next`, file);
  };
  await set(0);
  const env = {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    DONT_FAKE_MONOTONIC: "1",
  };
  return {
    env,
    wrap: async (program) => {
      const script = join(directory, "under-clock");
      const settings = Object.entries(env).map(([name, value]) => `export ${name}=${value}`);
      await writeFile(script, ["#!/bin/sh", ...settings, `exec ${program} "$@"`, ""].join("\n"), { mode: 0o755 });
      return script;
    },
    set,
    close: () => rm(directory, { recursive: true, force: true }),
  };
}

async function findLibrary(): Promise<string> {
  for (const root of ["/usr/lib", "/usr/lib64", "/usr/local/lib"]) {
    const folders = await readdir(root).catch(() => []);
    for (const folder of ["", ...folders]) {
      const library = join(root, folder, "faketime", "libfaketimeMT.so.1");
      const found = await access(library).then(
        () => true,
        () => false,
      );
      if (found) return library;
    }
  }
  throw new Error(
    "libfaketime is needed and was not found: `make setup` installs it (Debian: apt-get install libfaketime)",
  );
}
