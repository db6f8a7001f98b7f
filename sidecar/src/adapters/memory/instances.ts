import type { Clock } from "../../ports/clock.ts";
import type { InstancePulse } from "../../ports/recovery-store.ts";
import type { InstanceRow, NewInstance } from "../../ports/task-store.ts";

interface MemoryInstance extends Omit<InstanceRow, "alive"> {
  leaseUntilMs: number;
  renewals: number;
  seq: number;
}

/** The instances of the record in memory; leases run on the monotonic clock. */
export class MemoryInstances {
  readonly #clock: Clock;
  readonly #rows = new Map<string, MemoryInstance>();
  #lastSeq = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  register(instance: NewInstance, leaseMs: number): void {
    const leaseUntilMs = this.#clock.monotonicMs() + leaseMs;
    const renewals = (this.#rows.get(instance.id)?.renewals ?? -1) + 1;
    this.#rows.set(instance.id, {
      draining: false,
      ...instance,
      startedAt: this.#clock.now(),
      leaseUntilMs,
      renewals,
      seq: ++this.#lastSeq,
    });
  }

  renew(id: string, leaseMs: number, draining: boolean): boolean {
    const instance = this.#rows.get(id);
    if (instance === undefined) return false;
    instance.renewals += 1;
    instance.leaseUntilMs = this.#clock.monotonicMs() + leaseMs;
    instance.draining = draining;
    return true;
  }

  setDraining(id: string, draining: boolean): void {
    const instance = this.#rows.get(id);
    if (instance !== undefined) instance.draining = draining;
  }

  remove(id: string): void {
    this.#rows.delete(id);
  }

  list(): InstanceRow[] {
    return [...this.#rows.values()].map(({ leaseUntilMs: _, renewals: __, seq: ___, ...row }) => ({
      ...row,
      alive: this.isAlive(row.id),
    }));
  }

  pulses(): InstancePulse[] {
    return [...this.#rows.values()].map(({ id, podUid, seq, renewals, draining }) => {
      return { id, podUid, seq, renewals, expired: this.isExpired(id), draining };
    });
  }

  /** The youngest that is alive and not `self`. */
  youngest(self: string): string | null {
    const others = [...this.#rows.values()].filter(({ id }) => id !== self && this.isAlive(id));
    others.sort((a, b) => a.seq - b.seq);
    return others.at(-1)?.id ?? null;
  }

  isAlive(id: string): boolean {
    return !this.isExpired(id) && this.#rows.get(id)?.draining === false;
  }

  /** No row, or a lease that ran out so long ago. */
  isExpired(id: string, sinceMs = 0): boolean {
    const instance = this.#rows.get(id);
    return instance === undefined || instance.leaseUntilMs <= this.#clock.monotonicMs() - sinceMs;
  }

  has(id: string): boolean {
    return this.#rows.has(id);
  }

  isOfPod(id: string, podUid: string): boolean {
    return podUid !== "" && this.#rows.get(id)?.podUid === podUid;
  }

  /** Whether another instance of the same pod started later. */
  hasSuccessor(id: string): boolean {
    const older = this.#rows.get(id);
    if (older === undefined) return false;
    return [...this.#rows.values()].some((other) => this.isOfPod(other.id, older.podUid) && other.seq > older.seq);
  }
}
