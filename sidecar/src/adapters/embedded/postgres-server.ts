/**
 * One Postgres server process of ours: initialise a data directory, run the server on it, stop it.
 *
 * Postgres refuses to run as root, so a root process hands it to the unprivileged user 65534 ("nobody"), who then
 * owns the data and the socket folder. The server does not outlive us; where it does all the same, it still holds the
 * directory and is stopped before a new one starts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresBinaries } from "./postgres-binaries.ts";

const NOBODY = 65534;
/** A fast shutdown writes a checkpoint; on a slow disk that takes seconds. */
const STOP_DEADLINE_MS = 15_000;
/** A crash recovery of a few WAL segments is part of the start. */
const START_DEADLINE_MS = 60_000;

/** Where and how the server runs. */
export interface PostgresServerOptions {
  binaries: PostgresBinaries;
  /** The data directory, initialised. */
  directory: string;
  /** Folder of the unix socket; its path has to stay below 90 bytes (the socket address is limited to 107). */
  socketDirectory: string;
  port: number;
  /** Null: unix socket only. */
  listenAddress: string | null;
  /** Server parameters, as `-c name=value`. */
  settings?: Record<string, string>;
  /** The server's own log, line by line. */
  onLog?: (line: string) => void;
}

/** A running server. */
export interface PostgresServer {
  pid: number;
  /** Settles when the process has ended, for whatever reason. */
  exited: Promise<void>;
  /** Fast shutdown; kills the server when that takes too long. Resolves when the process is gone. */
  stop(): Promise<void>;
  /** As a crash: no checkpoint, no goodbye. */
  kill(): Promise<void>;
}

function identity(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
}

/** Makes a folder that the server may own: private, and handed to the unprivileged user where we are root. */
export async function makeServerFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
  const { uid, gid } = identity();
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

/** The version of an initialised data directory, null when there is none. */
export async function dataDirectoryVersion(directory: string): Promise<number | null> {
  const text = await readFile(join(directory, "PG_VERSION"), "utf8").catch(() => null);
  return text === null ? null : Number.parseInt(text, 10);
}

/**
 * Creates the data directory with trust authentication, for a server whose socket folder only its user may enter.
 * Superuser `postgres`, UTF-8, locale C. It appears under its name only when it is complete. `durable: false` leaves
 * the files to the operating system's cache.
 */
export async function initialiseDataDirectory(
  binaries: PostgresBinaries,
  directory: string,
  options: { durable: boolean },
): Promise<void> {
  const draft = `${directory}.draft`;
  await rm(draft, { recursive: true, force: true });
  await makeServerFolder(draft);
  const args = ["-D", draft, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions"];
  if (!options.durable) args.push("--no-sync");
  const child = spawn(binaries.initdb, args, {
    ...identity(),
    cwd: draft,
    env: serverEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: string[] = [];
  collectLines(child, (line) => output.push(line));
  const code = await exitOf(child);
  if (code !== 0) {
    throw new Error(`initdb could not create ${directory} (${code}): ${output.slice(-5).join("; ")}${reachHint()}`);
  }
  await rename(draft, directory);
}

/** Starts the server and resolves when it accepts connections; rejects with its last log lines when it ends instead. */
export async function runPostgresServer(options: PostgresServerOptions): Promise<PostgresServer> {
  await stopLeftover(options.directory);
  const settings = {
    listen_addresses: options.listenAddress ?? "",
    unix_socket_directories: options.socketDirectory,
    timezone: "UTC",
    log_timezone: "UTC",
    logging_collector: "off",
    log_destination: "stderr",
    ...options.settings,
  };
  const args = ["-D", options.directory, "-p", String(options.port)];
  for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`);
  const child = spawn(options.binaries.postgres, args, {
    ...identity(),
    cwd: options.directory,
    env: serverEnvironment(),
    stdio: ["ignore", "ignore", "pipe"],
    // Ctrl-C in a terminal reaches the whole process group, and we still need the record while we stop.
    detached: true,
  });
  const exited = exitOf(child).then(() => undefined);
  if (child.pid !== undefined) guard(child.pid, options, exited);
  await untilReady(child, options);
  return {
    pid: child.pid as number,
    exited,
    stop: async () => {
      await endProcess(child, exited, "SIGINT");
    },
    kill: async () => {
      await endProcess(child, exited, "SIGQUIT");
    },
  };
}

/**
 * Waits for the end of its standard input, which the kernel closes when we die, then stops the server (unless the
 * data belongs to a younger one by then) and removes the socket folder. The pid file says that the server is gone: as a
 * process it may remain for ever where nobody collects orphans.
 */
const GUARD = `read -r _
holder=$(head -n 1 postmaster.pid 2>/dev/null)
[ -z "$holder" ] || [ "$holder" = "$1" ] || exit 0
kill -INT "$1" 2>/dev/null
i=0
while [ -e postmaster.pid ] && [ $i -lt 150 ]; do sleep 0.1; i=$((i + 1)); done
rmdir "$2"`;

/** Stops the server when this process dies without a chance to (SIGKILL). */
function guard(pid: number, options: PostgresServerOptions, exited: Promise<void>): void {
  const shell = spawn("/bin/sh", ["-c", GUARD, "guard", String(pid), options.socketDirectory], {
    ...identity(),
    cwd: options.directory,
    env: serverEnvironment(),
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.on("error", () => undefined); // without a shell there is no guard; the next start stops what was left
  shell.unref();
  void exited.then(() => shell.kill("SIGKILL"));
}

function serverEnvironment(): Record<string, string> {
  return { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" };
}

function reachHint(): string {
  return identity().uid === undefined
    ? ""
    : ` (as root the server runs as user ${NOBODY}, who must be able to reach that folder)`;
}

async function untilReady(child: ChildProcess, options: PostgresServerOptions): Promise<void> {
  const recent: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (why: string) => reject(new Error(`Postgres ${why}: ${recent.join("; ")}${reachHint()}`));
  const deadline = setTimeout(() => fail(`was not ready after ${START_DEADLINE_MS / 1000} s`), START_DEADLINE_MS);
  collectLines(child, (line) => {
    options.onLog?.(line);
    recent.push(line);
    if (recent.length > 10) recent.shift();
    if (line.includes("database system is ready to accept connections")) resolve();
  });
  child.once("error", (error) => fail(`could not be started (${error.message})`));
  child.once("close", (code, signal) => fail(`ended with ${signal ?? code}`));
  try {
    await promise;
  } catch (error) {
    child.kill("SIGQUIT");
    throw error;
  } finally {
    clearTimeout(deadline);
  }
}

function collectLines(child: ChildProcess, onLine: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on("line", onLine);
  }
}

async function exitOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ?? code ?? "unknown"));
  });
}

async function endProcess(child: ChildProcess, exited: Promise<void>, signal: "SIGINT" | "SIGQUIT"): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGQUIT"), STOP_DEADLINE_MS);
  await exited;
  clearTimeout(timer);
}

/** A pid file alone proves nothing: the number may belong to a stranger by now, so its command line is checked. */
async function stopLeftover(directory: string): Promise<void> {
  const text = await readFile(join(directory, "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number.parseInt(text, 10);
  if (!(pid > 1) || !(await commandLine(pid)).includes(directory)) return;
  process.kill(pid, "SIGINT");
  const deadline = performance.now() + STOP_DEADLINE_MS;
  while ((await commandLine(pid)).includes(directory)) {
    if (performance.now() > deadline) throw new Error(`an older Postgres (pid ${pid}) on ${directory} does not stop`);
    await sleep(20);
  }
}

async function commandLine(pid: number): Promise<string> {
  const fromProc = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => null);
  if (fromProc !== null) return fromProc;
  if (process.platform === "linux") return "";
  const child = spawn("ps", ["-o", "command=", "-p", String(pid)], { stdio: ["ignore", "pipe", "ignore"] });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += String(chunk);
  });
  await once(child, "close");
  return output;
}
