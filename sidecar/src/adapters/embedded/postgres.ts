/**
 * The database of an instance that was given none: a real Postgres as a child process, its data in the claimed data
 * directory, reachable only through a unix socket in a private folder.
 */
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClaimedDataDir } from "./data-dir.ts";
import { findPostgresBinaries } from "./postgres-binaries.ts";
import {
  dataDirectoryVersion,
  initialiseDataDirectory,
  makeServerFolder,
  type PostgresServer,
  runPostgresServer,
} from "./postgres-server.ts";

/** How the embedded server is run. */
export interface EmbeddedPostgresOptions {
  dataDir: ClaimedDataDir;
  /** The server's own log, line by line. */
  log: (line: string) => void;
  /** False only where the data is thrown away: a crash of the machine loses what was acknowledged. */
  fsync?: boolean;
  /** A list of folders like `PATH`, searched for the programs first. */
  searchPath?: string;
  /** Where the data goes instead when we are root and the server's user cannot reach the data directory. */
  rootStateDir?: string;
}

/** A running embedded server. */
export interface EmbeddedPostgres {
  /** Connection string over the unix socket. */
  url: string;
  /** Fast shutdown; the files stay. */
  stop(): Promise<void>;
}

const SETTINGS = {
  // One instance with a small pool: little of everything, and no write-ahead log for replicas nobody has.
  shared_buffers: "32MB",
  max_connections: "40",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_wal_size: "256MB",
  jit: "off",
};

/** Port number of the socket file's name; the folder is private, so it clashes with nobody. */
const SOCKET_PORT = 5432;
/** Not a fixed name: in a folder everybody may write to, a stranger could have made it first. */
const SOCKET_FOLDER = "da-pg-";
const ROOT_STATE_DIR = "/var/lib/durable-agent";
const RESTART_PAUSE_MS = 1_000;

/**
 * Starts the server, creating its data directory the first time (about a second). It is started again when it dies by
 * itself. Rejects when no fitting Postgres is on this machine.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const fsync = options.fsync ?? true;
  const directory = await serverDirectory(options);
  const major = await dataDirectoryVersion(directory);
  const binaries = await findPostgresBinaries({
    ...(options.searchPath === undefined ? {} : { searchPath: options.searchPath }),
    ...(major === null ? {} : { major }),
  });
  if (major === null) await createDirectory(binaries, directory, fsync);
  const socketDirectory = await mkdtemp(join(tmpdir(), SOCKET_FOLDER));
  await makeServerFolder(socketDirectory);
  const run = () =>
    runPostgresServer({
      binaries,
      directory,
      socketDirectory,
      port: SOCKET_PORT,
      listenAddress: null,
      settings: { ...SETTINGS, fsync: fsync ? "on" : "off" },
      onLog: options.log,
    });
  const server = await run();
  const supervisor = new Supervisor(server, run, options.log);
  return {
    url: `postgresql://postgres@localhost/postgres?host=${encodeURIComponent(socketDirectory)}&port=${SOCKET_PORT}`,
    stop: async () => {
      await supervisor.stop();
      await rm(socketDirectory, { recursive: true, force: true });
    },
  };
}

/**
 * Below the data directory, unless a root process keeps that in a private place (its home): the server runs as another
 * user, who has to be able to walk there.
 */
async function serverDirectory(options: EmbeddedPostgresOptions): Promise<string> {
  const inside = join(options.dataDir.path, "postgres");
  if (await isReachable(options.dataDir.path)) return inside;
  const name = createHash("sha256").update(options.dataDir.path).digest("hex").slice(0, 16);
  const parent = join(options.rootStateDir ?? ROOT_STATE_DIR, name);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  const outside = join(parent, "postgres");
  options.log(`${inside} cannot be reached by the user Postgres runs as, the data is kept in ${outside}`);
  return outside;
}

async function isReachable(folder: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return true;
  const others = (await stat(folder)).mode & 0o001;
  if (others === 0) return false;
  return dirname(folder) === folder || isReachable(dirname(folder));
}

async function createDirectory(
  binaries: Awaited<ReturnType<typeof findPostgresBinaries>>,
  directory: string,
  durable: boolean,
): Promise<void> {
  const exists = await access(directory).then(
    () => true,
    () => false,
  );
  if (exists) throw new Error(`${directory} exists but holds no Postgres data (PG_VERSION is missing): move it away`);
  await initialiseDataDirectory(binaries, directory, { durable });
}

/** Owns the running server: one that ends unasked is started again, one of a dying process is told to stop. */
class Supervisor {
  #server: PostgresServer;
  #stopping = false;
  readonly #run: () => Promise<PostgresServer>;
  readonly #log: (line: string) => void;
  readonly #watch: Promise<void>;
  readonly #onProcessExit = () => {
    try {
      process.kill(this.#server.pid, "SIGINT");
    } catch {
      // It is gone already.
    }
  };

  constructor(server: PostgresServer, run: () => Promise<PostgresServer>, log: (line: string) => void) {
    this.#server = server;
    this.#run = run;
    this.#log = log;
    process.once("exit", this.#onProcessExit);
    this.#watch = this.#keepRunning();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    process.removeListener("exit", this.#onProcessExit);
    await this.#server.stop();
    await this.#watch;
  }

  async #keepRunning(): Promise<void> {
    for (;;) {
      await this.#server.exited;
      if (this.#stopping) return;
      this.#log("the server ended unasked and is started again");
      await this.#startAgain();
      if (this.#stopping) await this.#server.stop();
    }
  }

  async #startAgain(): Promise<void> {
    while (!this.#stopping) {
      try {
        this.#server = await this.#run();
        return;
      } catch (error) {
        this.#log(`not started: ${error instanceof Error ? error.message : String(error)}`);
        await sleep(RESTART_PAUSE_MS, undefined, { ref: false });
      }
    }
  }
}
