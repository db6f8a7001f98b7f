// A server of a test cluster as a child process: its output goes to a log file, it ends when it is told to, and it
// does not outlive the process that started it unless that is wanted.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { once } from "node:events";

/** What to start. */
export interface ServerCommand {
  readonly name: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it lives on when this process ends; it is then ended by other means. */
  readonly isIndependent?: boolean;
}

/** A running (or ended) server. */
export interface ServerProcess {
  readonly name: string;
  readonly pid: number;
  /** Sentence with the end of the log, once the process has ended by itself; undefined while it runs. */
  failure(): string | undefined;
  /** Asks it to end, insists after `graceMs`; resolves when it is gone. Calling it twice is harmless. */
  stop(graceMs?: number): Promise<void>;
}

const setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => existsSync(path));

/** The command that starts `path`, arranged so that the kernel ends it when this process dies, where setpriv exists. */
function withParentDeathSignal(path: string, args: readonly string[]): readonly [string, readonly string[]] {
  return setpriv === undefined ? [path, args] : [setpriv, ["--pdeathsig", "KILL", "--", path, ...args]];
}

function lastLines(file: string, count: number): string {
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-count).join("\n");
}

function isEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Starts `command`; throws only if the process cannot be created. */
export function startServer(command: ServerCommand): ServerProcess {
  const log = openSync(command.logFile, "a");
  const isIndependent = command.isIndependent === true;
  const [path, args] = isIndependent ? [command.path, command.args] : withParentDeathSignal(command.path, command.args);
  // Only what a server needs: a proxy setting or a KUBECONFIG of the caller must not leak into the cluster.
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...command.env };
  const child = spawn(path, args, { env, stdio: ["ignore", log, log], detached: isIndependent });
  if (isIndependent) child.unref();
  closeSync(log);
  let startFailure: string | undefined;
  child.on("error", (error) => {
    startFailure = error.message;
  });
  if (child.pid === undefined) throw new Error(`${command.name} could not be started from ${command.path}`);
  let stopping: Promise<void> | undefined;
  const stop = async (graceMs: number): Promise<void> => {
    if (isEnded(child)) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const insist = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await ended;
    clearTimeout(insist);
  };
  return {
    name: command.name,
    pid: child.pid,
    failure: () => {
      if (startFailure === undefined && !isEnded(child)) return undefined;
      const how = startFailure ?? `ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`;
      return `${command.name} ${how}; the end of its log:\n${lastLines(command.logFile, 15)}`;
    },
    stop: (graceMs = 5000) => {
      stopping ??= stop(graceMs);
      return stopping;
    },
  };
}
