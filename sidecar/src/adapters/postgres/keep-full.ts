import type { EventEmitter } from "node:events";

/** What is needed of a `pg.Pool`. */
export interface FillablePool extends Pick<EventEmitter, "on"> {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly ending: boolean;
  connect(): Promise<{ release(): void }>;
}

/** After a connection could not be made it is tried again: after this at first, each time later. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Makes all `size` connections of the pool with its first one, and anew what breaks. A statement that finds none idle then
 * takes the first that is given back. In a pool that is still growing, pg ties it to a connection of its own, and it fails
 * with that after seconds (a lost DNS packet costs five) while the others are free: as a lease renewal it takes this
 * instance's right to act with it.
 */
export function keepFull(pool: FillablePool, size: number): void {
  let pauseMs = FIRST_PAUSE_MS;
  let pause: NodeJS.Timeout | null = null;
  const fill = (): void => {
    // With none left the server is away, and the next statement finds out when it is back.
    if (pause !== null || pool.ending || pool.totalCount === 0) return;
    const missing = size - pool.totalCount;
    if (missing <= 0) return;
    // Idle connections are given out before one is made.
    for (let calls = pool.idleCount + missing; calls > 0; calls -= 1) void make();
  };
  const make = async (): Promise<void> => {
    try {
      const client = await pool.connect();
      client.release();
      pauseMs = FIRST_PAUSE_MS;
    } catch {
      if (pause !== null) return;
      pause = setTimeout(() => {
        pause = null;
        fill();
      }, pauseMs).unref();
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
  };
  pool.on("connect", fill);
  pool.on("remove", fill);
  // Told before the pool has let go of a connection that broke; `remove` comes when its socket has ended.
  pool.on("release", (error: unknown) => error instanceof Error && queueMicrotask(fill));
}
