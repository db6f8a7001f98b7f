/** A real Postgres of our own on a loopback port, in a temporary folder, without fsync. Usable outside vitest too. */
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { findPostgresBinaries } from "../../src/adapters/embedded/postgres-binaries.ts";
import {
  initialiseDataDirectory,
  makeServerFolder,
  type PostgresServer,
  type PostgresServerOptions,
  runPostgresServer,
} from "../../src/adapters/embedded/postgres-server.ts";
import { freePort } from "./wait.ts";

/** A server under test control. */
export interface TestPostgres {
  readonly port: number;
  readonly pid: number;
  /** Connection string of a database on it (default `postgres`), as superuser, without a password. */
  url(database?: string): string;
  /** A new database; with `template` a copy of that one (which nobody may be connected to). */
  createDatabase(template?: string): Promise<TestDatabase>;
  /** Fast shutdown: clients are cut off. The port stays ours. */
  stop(): Promise<void>;
  /** As a crash of the server. */
  crash(): Promise<void>;
  /** Starts it again on the same port and data. */
  start(): Promise<void>;
  /** Ends every other connection to the database; returns how many. */
  disconnectClients(database: string): Promise<number>;
  /** Stops it for good and removes its files. */
  close(): Promise<void>;
}

/** A database of its own for one test file. */
export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  /** Also ends connections that are still open. */
  drop(): Promise<void>;
}

/** What a test may want different. */
export interface TestPostgresOptions {
  /** Server parameters over the defaults, e.g. `{ fsync: "on" }` for measurements. */
  settings?: Record<string, string>;
  /** What is run in place of `postgres`, with its arguments: a script that prepares something and becomes it. */
  program?: (postgres: string) => Promise<string>;
}

const SETTINGS = {
  fsync: "off",
  full_page_writes: "off",
  max_connections: "200",
  shared_buffers: "64MB",
  autovacuum: "off",
};

const running = new Set<PostgresServer>();
process.once("exit", () => {
  for (const server of running) process.kill(server.pid, "SIGQUIT");
});

/** Starts a fresh cluster (about a second). */
export async function startPostgres(options: TestPostgresOptions = {}): Promise<TestPostgres> {
  const binaries = await findPostgresBinaries({ searchPath: process.env["PATH"] ?? "" });
  const root = await mkdtemp(join(tmpdir(), "durable-agent-pg-"));
  await chmod(root, 0o755);
  const directory = join(root, "data");
  const socketDirectory = join(root, "socket");
  await initialiseDataDirectory(binaries, directory, { durable: false });
  await makeServerFolder(socketDirectory);
  const program = options.program === undefined ? binaries.postgres : await options.program(binaries.postgres);
  const base = {
    binaries: { ...binaries, postgres: program },
    directory,
    socketDirectory,
    listenAddress: "127.0.0.1",
    settings: { ...SETTINGS, ...options.settings },
  };
  let { server, port } = await launchOnFreePort(base);
  const stop = async (how: "stop" | "kill") => {
    running.delete(server);
    await server[how]();
  };
  const url = (database = "postgres") => `postgresql://postgres@127.0.0.1:${port}/${database}`;
  return {
    port,
    get pid() {
      return server.pid;
    },
    url,
    createDatabase: (template) => createDatabaseAt(url(), template),
    stop: () => stop("stop"),
    crash: () => stop("kill"),
    start: async () => {
      server = await launch({ ...base, port });
    },
    disconnectClients: async (database) => {
      const rows = await query(
        url(),
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
        [database],
      );
      return rows.length;
    },
    close: async () => {
      await stop("stop");
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Creates a database on the server that `adminUrl` (one of its databases, as superuser) names. */
export async function createDatabaseAt(adminUrl: string, template?: string): Promise<TestDatabase> {
  const name = `t_${randomBytes(8).toString("hex")}`;
  await query(adminUrl, `create database ${name}${template === undefined ? "" : ` template ${template}`}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return {
    name,
    url: url.href,
    drop: async () => {
      await query(adminUrl, `drop database if exists ${name} with (force)`);
    },
  };
}

async function launch(options: PostgresServerOptions): Promise<PostgresServer> {
  const server = await runPostgresServer(options);
  running.add(server);
  void server.exited.then(() => running.delete(server));
  return server;
}

/** Between choosing a port and listening on it somebody else may take it, so the choice is tried again. */
async function launchOnFreePort(
  base: Omit<PostgresServerOptions, "port">,
): Promise<{ server: PostgresServer; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return { server: await launch({ ...base, port }), port };
    } catch (error) {
      if (attempt === 5 || !String(error).includes("could not bind")) throw error;
    }
  }
}

async function query(url: string, text: string, values: unknown[] = []): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}
