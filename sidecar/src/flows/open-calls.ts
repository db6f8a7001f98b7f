/** The calls that wait for their answer here. A stream counts until it begins: its reader can resume it. */
import type { Clock } from "../ports/clock.ts";

const CHECK_MS = 20;

export class OpenCalls {
  #open = 0;
  #arrived = 0;

  get count(): number {
    return this.#open;
  }

  /** The same handler, counted. */
  counting<A extends unknown[], R>(handle: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
    return async (...args) => {
      this.#open += 1;
      this.#arrived += 1;
      try {
        return await handle(...args);
      } finally {
        this.#open -= 1;
      }
    };
  }

  /** Resolves when no call waits and none has come for `quietMs`, or after `patienceMs`. */
  async untilQuiet(clock: Clock, { quietMs, patienceMs }: { quietMs: number; patienceMs: number }): Promise<void> {
    const untilMs = clock.monotonicMs() + patienceMs;
    let seen = this.#arrived;
    let quietSinceMs = clock.monotonicMs();
    while (clock.monotonicMs() < untilMs) {
      if (this.#arrived !== seen) quietSinceMs = clock.monotonicMs();
      seen = this.#arrived;
      if (this.#open === 0 && clock.monotonicMs() - quietSinceMs >= quietMs) return;
      await clock.sleep(CHECK_MS);
    }
  }
}
