/**
 * A queue of keys. A key waits at most once and is never worked on twice at the same time; a key that is added while it
 * is worked on is worked on again. Failures come back with a growing, jittered delay, success forgets them.
 */

/** What a handler wants next. */
export interface Requeue {
  requeueAfterMs?: number;
}

/** A running queue. */
export interface WorkQueue {
  add(key: string): void;
  addAfter(key: string, delayMs: number): void;
  readonly depth: number;
  /** Takes no more work; resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/** How a queue works. */
export interface WorkQueueOptions {
  concurrency: number;
  handle: (key: string) => Promise<Requeue>;
  onFailure: (key: string, error: unknown, retryInMs: number) => void;
}

const firstRetryMs = 250;
const longestRetryMs = 60_000;

/** Starts a queue. */
export function startWorkQueue({ concurrency, handle, onFailure }: WorkQueueOptions): WorkQueue {
  const waiting = new Set<string>();
  const running = new Map<string, Promise<void>>();
  const timers = new Map<string, { timer: NodeJS.Timeout; at: number }>();
  const failures = new Map<string, number>();
  let stopped = false;

  const run = async (key: string): Promise<void> => {
    try {
      const { requeueAfterMs } = await handle(key);
      failures.delete(key);
      if (requeueAfterMs !== undefined) addAfter(key, requeueAfterMs);
    } catch (error) {
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      const retryInMs = Math.round(Math.min(firstRetryMs * 2 ** count, longestRetryMs) * (0.75 + Math.random() / 2));
      onFailure(key, error, retryInMs);
      addAfter(key, retryInMs);
    }
    running.delete(key);
    pump();
  };
  const pump = (): void => {
    for (const key of waiting) {
      if (stopped || running.size >= concurrency) return;
      if (running.has(key)) continue;
      waiting.delete(key);
      running.set(key, run(key));
    }
  };
  const add = (key: string): void => {
    if (stopped) return;
    waiting.add(key);
    pump();
  };
  const addAfter = (key: string, delayMs: number): void => {
    const at = performance.now() + delayMs;
    const existing = timers.get(key);
    if (stopped || (existing !== undefined && existing.at <= at)) return;
    clearTimeout(existing?.timer);
    const timer = setTimeout(() => {
      timers.delete(key);
      add(key);
    }, delayMs);
    timers.set(key, { timer, at });
  };
  return {
    add,
    addAfter,
    get depth() {
      return waiting.size;
    },
    stop: async () => {
      stopped = true;
      waiting.clear();
      for (const { timer } of timers.values()) clearTimeout(timer);
      timers.clear();
      await Promise.all(running.values());
    },
  };
}
