/** Microseconds of a clock that every process of the machine reads alike and that nobody sets. */
export function monotonicMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
