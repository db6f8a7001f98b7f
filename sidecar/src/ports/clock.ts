/** Time and timers as a dependency, so that tests decide when a deadline passes. */
export interface Clock {
  /** Milliseconds of a clock that never jumps. */
  monotonicMs(): number;
  /** Wall clock, only for timestamps that are shown. */
  now(): Date;
  /** Resolves after `ms`, or early (without error) when the signal aborts. Never keeps the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
