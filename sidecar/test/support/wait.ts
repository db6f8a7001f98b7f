/** Waiting for a condition instead of for a time. */
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** How long to wait and what to say when the condition never came. */
export interface WaitOptions {
  /** 10 000 where not given. */
  deadlineMs?: number;
  /** What was waited for, or a function that describes the state found instead. */
  message: string | (() => string);
  /** Pause between two looks, 10 where not given. */
  intervalMs?: number;
}

/**
 * Resolves with the first value of `condition` that is neither false, null nor undefined. Rejects at the deadline,
 * with the last error of the condition as the cause.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const deadlineMs = options.deadlineMs ?? 10_000;
  const end = performance.now() + deadlineMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== false && value !== null && value !== undefined) {
        return value as Exclude<T, false | null | undefined>;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) {
      const message = typeof options.message === "string" ? options.message : options.message();
      throw new Error(`not within ${deadlineMs} ms: ${message}`, { cause });
    }
    await sleep(options.intervalMs ?? 10);
  }
}

/** Rejects with `message` when the promise has not settled within the time. */
export async function within<T>(promise: Promise<T>, deadlineMs: number, message: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms: ${message}`)), deadlineMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Below the ports that systems give to outgoing connections: one of those could take it before its server is there. */
const FIRST_PORT = 20_000;
const PORTS = 12_000;

/** A loopback port nobody listens on at this moment, chosen at random so that two who choose at once seldom agree. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (listening) await new Promise((resolve) => server.close(resolve));
  return listening;
}
