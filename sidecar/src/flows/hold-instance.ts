/**
 * This instance's row and its lease: renewed at a third of the lease for as long as the process lives. Others take an
 * instance for alive while its lease runs on the store's clock.
 */
import type { Clock } from "../ports/clock.ts";
import type { TaskStore } from "../ports/task-store.ts";
import type { Logger } from "./logger.ts";

export interface InstanceIdentity {
  id: string;
  podName: string;
  podUid: string;
}

export class InstanceHolder {
  readonly #deps: { store: TaskStore; clock: Clock; log: Logger };
  readonly #identity: InstanceIdentity;
  readonly #leaseMs: number;
  readonly #stopped = new AbortController();
  #registered = false;
  #loop: Promise<void> | null = null;

  constructor(deps: { store: TaskStore; clock: Clock; log: Logger }, identity: InstanceIdentity, leaseMs: number) {
    this.#deps = deps;
    this.#identity = identity;
    this.#leaseMs = leaseMs;
  }

  get registered(): boolean {
    return this.#registered;
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
    const { store, clock, log } = this.#deps;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        const renewed = this.#registered && (await store.renewInstance(this.#identity.id, this.#leaseMs, false));
        if (!renewed) await store.registerInstance(this.#identity, this.#leaseMs);
        this.#registered = true;
      } catch (error) {
        log.warn({ err: error }, "instance lease not renewed, trying again");
      }
      await clock.sleep(this.#leaseMs / 3, signal);
    }
  }
}
