/**
 * This instance's row and its lease: renewed at a third of the lease for as long as the process lives. Others take an
 * instance for alive while its lease runs on the store's clock; this process trusts itself for less (I7). What it owns
 * after an overdue time is decided by each write's epoch: where nobody has claimed, it simply goes on.
 */
import { advanceLease, type InstanceLease, type LeaseEvent, mayAct, openLease } from "../domain/instance-lease.ts";
import type { Clock } from "../ports/clock.ts";
import type { TaskStore } from "../ports/task-store.ts";
import type { Logger } from "./logger.ts";

export interface InstanceIdentity {
  id: string;
  podName: string;
  podUid: string;
}

export interface InstanceHolderDeps {
  store: Pick<TaskStore, "registerInstance" | "renewInstance" | "removeInstance">;
  clock: Clock;
  log: Logger;
}

/** A failed renewal is repeated soon enough for peers to see the counter move before they would claim. */
const RETRY_SHARE = 1 / 10;

export class InstanceHolder {
  readonly #deps: InstanceHolderDeps;
  readonly #identity: InstanceIdentity;
  readonly #stopped = new AbortController();
  #lease: InstanceLease;
  #draining = false;
  #registered = false;
  #loop: Promise<void> | null = null;

  constructor(deps: InstanceHolderDeps, identity: InstanceIdentity, leaseMs: number) {
    this.#deps = deps;
    this.#identity = identity;
    this.#lease = openLease(leaseMs);
  }

  /** Whether this instance may take, append and end what it owns at this moment (I7). */
  mayAct(): boolean {
    return mayAct(this.#lease, this.#deps.clock.monotonicMs());
  }

  /** Whether it has held its lease once. */
  get registered(): boolean {
    return this.#registered;
  }

  /** Carried by every renewal from here on. */
  setDraining(draining: boolean): void {
    this.#draining = draining;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Stops renewing and, where the store answers, removes the row: nobody has to wait for the lease to run out. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
    await this.#deps.store.removeInstance(this.#identity.id).catch(() => {});
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const sentAtMs = clock.monotonicMs();
      const renewed = await this.#renew();
      const { leaseMs } = this.#lease;
      // The deadline counts from the sending: after an answer that came late there is less time left for the next one.
      const spentMs = clock.monotonicMs() - sentAtMs;
      await clock.sleep(renewed ? Math.max(leaseMs / 3 - spentMs, 0) : leaseMs * RETRY_SHARE, signal);
    }
    this.#apply({ kind: "stopping", nowMs: clock.monotonicMs() });
  }

  async #renew(): Promise<boolean> {
    const { store, clock, log } = this.#deps;
    const { leaseMs, state } = this.#lease;
    const sentAtMs = clock.monotonicMs();
    try {
      if (state === "unregistered")
        await store.registerInstance({ ...this.#identity, draining: this.#draining }, leaseMs);
      else if (!(await store.renewInstance(this.#identity.id, leaseMs, this.#draining))) {
        this.#apply({ kind: "refused", nowMs: clock.monotonicMs() });
        return false;
      }
      this.#apply({ kind: "renewed", sentAtMs, nowMs: clock.monotonicMs() });
      this.#registered = true;
      return true;
    } catch (error) {
      this.#apply({ kind: "failed", nowMs: clock.monotonicMs() });
      log.warn({ err: error }, "instance lease not renewed, trying again");
      return false;
    }
  }

  #apply(event: LeaseEvent): void {
    const { lease, actions } = advanceLease(this.#lease, event);
    this.#lease = lease;
    for (const action of actions) this.#deps.log.debug({ action, lease: lease.state }, "instance lease");
  }
}
