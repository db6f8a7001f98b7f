import type { EventEmitter } from "node:events";

/** What is needed of a `pg.Pool`. */
export interface FillablePool extends Pick<EventEmitter, "on"> {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly ending: boolean;
  connect(): Promise<{ release(): void }>;
}

/** A connection that could not be made is tried again so long after the attempt began. */
const AGAIN_MS = 1_000;

/**
 * Makes all `size` connections of the pool with its first one, and anew what breaks. A statement that finds none idle then
 * takes the first that is given back. In a pool that is still growing, pg ties it to a connection of its own, and it fails
 * with that after seconds (a lost DNS packet costs five) while the others are free: as a lease renewal it takes this
 * instance's right to act with it.
 */
export function keepFull(pool: FillablePool, size: number): void {
  const fill = (): void => {
    // With none left the server is away, and the next statement finds out when it is back.
    if (pool.ending || pool.totalCount === 0) return;
    // Idle connections are given out before one is made.
    for (let calls = pool.idleCount + size - pool.totalCount; calls > 0; calls -= 1) void make();
  };
  const make = async (): Promise<void> => {
    const begunMs = performance.now();
    try {
      const client = await pool.connect();
      client.release();
    } catch {
      setTimeout(fill, Math.max(0, begunMs + AGAIN_MS - performance.now())).unref();
    }
  };
  pool.on("connect", fill);
  pool.on("remove", fill);
}
