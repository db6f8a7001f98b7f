/**
 * Keeps the calls that clients cause by the hundred from standing in front of the few that everything depends on: renewing
 * the lease, committing events, looking for work. The crowd shares a part of the connections and queues here; without this
 * a burst of sends would make every instance look dead to the others, which then re-run what is running.
 */
import type { RecoveryStore } from "../../ports/recovery-store.ts";
import { StoreError, type TaskStore } from "../../ports/task-store.ts";

/** For the group commit's statements, of which two may be under way, the lease renewal and the other loops (of five). */
const KEPT_FREE = 2;
/** Beyond this a call is refused as retryable (P11) rather than answered when nobody waits for it any more. */
const MOST_WAITING_MS = 30_000;

/**
 * The same store with its crowded methods on at most `poolSize` − 2 connections: what is called for each message. Cancels,
 * hand-overs and the looks of the polls are not among them; others wait for those no longer than a second. What belongs to work that was accepted goes before what would add more: under overload new calls wait, and
 * running ones get to their end.
 */
export function keepCrowdApart<S extends TaskStore & RecoveryStore>(store: S, poolSize: number): S {
  const crowd = new Crowd(Math.max(1, poolSize - KEPT_FREE));
  const queued = (standing: Standing) => {
    return <A extends unknown[], R>(call: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) =>
      (...args) =>
        crowd.admit(() => call(...args), { standing });
  };
  const accepted = queued("accepted");
  const arriving = queued("arriving");
  return {
    ...store,
    takeTurn: accepted(store.takeTurn.bind(store)),
    reassignTurn: accepted(store.reassignTurn.bind(store)),
    createTask: accepted(store.createTask.bind(store)),
    endTurn: accepted(store.endTurn.bind(store)),
    releaseQueue: accepted(store.releaseQueue.bind(store)),
    beginAttempt: accepted(store.beginAttempt.bind(store)),
    claimTask: accepted(store.claimTask.bind(store)),
    readEvents: accepted(store.readEvents.bind(store)),
    readTurn: accepted(store.readTurn.bind(store)),
    readTurns: accepted(store.readTurns.bind(store)),
    journal: arriving(store.journal.bind(store)),
    lastInstance: arriving(store.lastInstance.bind(store)),
    youngestInstance: accepted(store.youngestInstance.bind(store)),
    readTask: arriving(store.readTask.bind(store)),
    readView: arriving(store.readView.bind(store)),
    listTasks: arriving(store.listTasks.bind(store)),
    requestCancel: arriving(store.requestCancel.bind(store)),
    savePushConfig: arriving(store.savePushConfig.bind(store)),
    deletePushConfig: arriving(store.deletePushConfig.bind(store)),
    listPushConfigs: arriving(store.listPushConfigs.bind(store)),
  };
}

/** `accepted` goes first. */
type Standing = "accepted" | "arriving";

/** A bounded number of calls at once; the others wait, each standing in its own order of arrival. */
export class Crowd {
  readonly #places: number;
  #inside = 0;
  readonly #waiting = { accepted: new Set<() => void>(), arriving: new Set<() => void>() };

  constructor(places: number) {
    this.#places = places;
  }

  /** Runs the call once there is a place for it; rejects as `unavailable` when there was none for too long. */
  async admit<T>(call: () => Promise<T>, options: { standing?: Standing; mostWaitingMs?: number } = {}): Promise<T> {
    const { standing = "arriving", mostWaitingMs = MOST_WAITING_MS } = options;
    if (this.#inside < this.#places) this.#inside += 1;
    else await this.#wait(this.#waiting[standing], mostWaitingMs);
    try {
      return await call();
    } finally {
      this.#leave();
    }
  }

  #wait(queue: Set<() => void>, mostMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        clearTimeout(timer);
        queue.delete(enter);
        resolve();
      };
      const timer = setTimeout(() => {
        queue.delete(enter);
        reject(new StoreError("unavailable", `no connection was free for ${mostMs} ms`));
      }, mostMs);
      timer.unref();
      queue.add(enter);
    });
  }

  /** The place goes to whoever has waited longest. */
  #leave(): void {
    const [next] = this.#waiting.accepted.size > 0 ? this.#waiting.accepted : this.#waiting.arriving;
    if (next === undefined) this.#inside -= 1;
    else next();
  }
}
