import type { Clock } from "../ports/clock.ts";
import type { Relay } from "../ports/relay.ts";
import type { TaskStore } from "../ports/task-store.ts";
import type { Logger } from "./logger.ts";
import type { TaskFeeds } from "./task-feeds.ts";

export interface SafetyPollDeps {
  feeds: TaskFeeds;
  relay: Relay;
  store: Pick<TaskStore, "readPositions">;
  clock: Clock;
  log: Logger;
}

export interface SafetyPoll {
  stop(): void;
  /** Settles when the loop has ended after `stop`; never rejects. */
  readonly done: Promise<void>;
}

/**
 * Asks the record, in one statement per second (300 ms while the relay is down), where the tasks stand whose readers
 * wait and that were not heard of lately, so that a lost relay message costs time and never an event (P11).
 */
export function startSafetyPoll(_deps: SafetyPollDeps): SafetyPoll {
  throw new Error("unbuilt");
}
