import type { Clock } from "../../ports/clock.ts";
import type { InstanceRow } from "../../ports/task-store.ts";

interface MemoryInstance extends Omit<InstanceRow, "alive"> {
  leaseUntilMs: number;
}

/** The instances of the record in memory; leases run on the monotonic clock. */
export class MemoryInstances {
  readonly #clock: Clock;
  readonly #rows = new Map<string, MemoryInstance>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  register(instance: { id: string; podName: string; podUid: string }, leaseMs: number): void {
    const leaseUntilMs = this.#clock.monotonicMs() + leaseMs;
    this.#rows.set(instance.id, { ...instance, startedAt: this.#clock.now(), draining: false, leaseUntilMs });
  }

  renew(id: string, leaseMs: number, draining: boolean): boolean {
    const instance = this.#rows.get(id);
    if (instance === undefined) return false;
    Object.assign(instance, { leaseUntilMs: this.#clock.monotonicMs() + leaseMs, draining });
    return true;
  }

  remove(id: string): void {
    this.#rows.delete(id);
  }

  list(): InstanceRow[] {
    return [...this.#rows.values()].map(({ leaseUntilMs: _, ...row }) => ({ ...row, alive: this.isAlive(row.id) }));
  }

  isAlive(id: string): boolean {
    const instance = this.#rows.get(id);
    return instance !== undefined && !instance.draining && instance.leaseUntilMs > this.#clock.monotonicMs();
  }
}
