/**
 * Keeps the calls that clients cause by the hundred from standing in front of the few that everything depends on: renewing
 * the lease, committing events, taking work. The crowd shares a part of the connections and queues here; without this a
 * burst of sends would make every instance look dead to the others, which then re-run what is running.
 */
import type { RecoveryStore } from "../../ports/recovery-store.ts";
import { StoreError, type TaskStore } from "../../ports/task-store.ts";

/** The group commit's statements and a lease renewal always find a connection (of five). */
const KEPT_FREE = 2;
/** Beyond this a call is refused as retryable (P11) rather than answered when nobody waits for it any more. */
const MOST_WAITING_MS = 15_000;

/** The same store with its crowded methods on at most `poolSize` − 2 connections, first come, first served. */
export function keepCrowdApart<S extends TaskStore & RecoveryStore>(store: S, poolSize: number): S {
  const crowd = new Crowd(Math.max(1, poolSize - KEPT_FREE));
  const queued = <A extends unknown[], R>(call: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) => {
    return (...args) => crowd.admit(() => call(...args));
  };
  return {
    ...store,
    journal: queued(store.journal),
    endTurn: queued(store.endTurn),
    lastInstance: queued(store.lastInstance),
    createTask: queued(store.createTask),
    readTask: queued(store.readTask),
    readView: queued(store.readView),
    readEvents: queued(store.readEvents),
    listTasks: queued(store.listTasks),
    requestCancel: queued(store.requestCancel),
    savePushConfig: queued(store.savePushConfig),
    deletePushConfig: queued(store.deletePushConfig),
    listPushConfigs: queued(store.listPushConfigs),
  };
}

/** A bounded number of calls at once, the others in their order. */
export class Crowd {
  readonly #places: number;
  #inside = 0;
  /** Insertion order = order of arrival. */
  readonly #waiting = new Set<() => void>();

  constructor(places: number) {
    this.#places = places;
  }

  /** Runs the call once there is a place for it; rejects as `unavailable` when there was none for too long. */
  async admit<T>(call: () => Promise<T>, mostWaitingMs = MOST_WAITING_MS): Promise<T> {
    if (this.#inside < this.#places) this.#inside += 1;
    else await this.#wait(mostWaitingMs);
    try {
      return await call();
    } finally {
      this.#leave();
    }
  }

  #wait(mostMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(enter);
        reject(new StoreError("unavailable", `no connection was free for ${mostMs} ms`));
      }, mostMs);
      timer.unref();
      this.#waiting.add(enter);
    });
  }

  /** The place goes to whoever has waited longest. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#inside -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
