/** Child processes that never outlive the test run: each is tracked and killed by its pid when this process ends. */
import { spawn } from "node:child_process";
import { within } from "./wait.ts";

/** Kept per process and output; older text is dropped. */
const KEPT_OUTPUT = 1_000_000;

/** A child process and what it has said so far. */
export interface SpawnedProcess {
  readonly name: string;
  readonly pid: number;
  /** The last megabyte of its standard output. */
  readonly stdout: string;
  readonly stderr: string;
  /** Settles when it has ended. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly running: boolean;
  /** The first line, of either output and also of the past, that matches. Rejects at the deadline or when it ends first. */
  waitForLine(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL when that is ignored for `graceMs` (5 000). Resolves when it is gone. */
  stop(graceMs?: number): Promise<ProcessExit>;
}

/** How a process ended. `error` is set where it never started. */
export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  error: Error | null;
}

/** What a child gets. The environment is only what is named here plus PATH, HOME and TMPDIR. */
export interface SpawnOptions {
  name?: string;
  env?: Record<string, string>;
  cwd?: string;
}

const alive = new Map<number, SpawnedProcess>();

process.once("exit", () => {
  for (const child of alive.values()) child.kill("SIGKILL");
});

/** Starts a program. A program that cannot be started shows in `exited` and in the waiters. */
export function spawnProcess(command: string, args: string[], options: SpawnOptions = {}): SpawnedProcess {
  const inherited = pick(process.env, ["PATH", "HOME", "TMPDIR"]);
  const child = spawn(command, args, {
    env: { ...inherited, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const name = options.name ?? command;
  const output = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      output[stream] = (output[stream] + text).slice(-KEPT_OUTPUT);
      for (const listener of listeners) listener();
    });
  }
  let ended = false;
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, error }));
    child.once("close", (code, signal) => resolve({ code, signal, error: null }));
  }).then((exit) => {
    ended = true;
    alive.delete(child.pid ?? -1);
    return exit;
  });
  const lastWords = () => `${name}: ${(output.stderr + output.stdout).slice(-2000)}`;
  const spawned: SpawnedProcess = {
    name,
    pid: child.pid ?? -1,
    get stdout() {
      return output.stdout;
    },
    get stderr() {
      return output.stderr;
    },
    get running() {
      return !ended;
    },
    exited,
    waitForLine: async (pattern, deadlineMs = 15_000) => {
      const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
      const look = () => {
        const match = matchLine(output.stdout, pattern) ?? matchLine(output.stderr, pattern);
        if (match !== null) resolve(match);
      };
      listeners.add(look);
      look();
      void exited.then((exit) => reject(new Error(`ended (${describeExit(exit)}) before ${pattern}; ${lastWords()}`)));
      try {
        return await within(promise, deadlineMs, `a line matching ${pattern}`);
      } catch (error) {
        throw new Error(`${(error as Error).message}; ${lastWords()}`, { cause: error });
      } finally {
        listeners.delete(look);
      }
    },
    kill: (signal) => {
      if (!ended) child.kill(signal);
    },
    stop: async (graceMs = 5_000) => {
      if (!ended) child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
  };
  if (child.pid !== undefined) alive.set(child.pid, spawned);
  return spawned;
}

/** Stops everything that was started here and still runs, the youngest first. */
export async function stopAllProcesses(): Promise<void> {
  await Promise.all([...alive.values()].reverse().map((child) => child.stop()));
}

function matchLine(text: string, pattern: RegExp): RegExpExecArray | null {
  for (const line of text.split("\n")) {
    const match = pattern.exec(line);
    if (match !== null) return match;
  }
  return null;
}

function describeExit(exit: ProcessExit): string {
  return exit.error?.message ?? exit.signal ?? `code ${exit.code}`;
}

function pick(from: NodeJS.ProcessEnv, names: string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = from[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
