/**
 * Tells the other replicas that something is in the record. Best effort by contract: a message may be lost, repeated
 * or late, and every reader falls back to the record (P11). Nothing here carries request bodies or credentials.
 */
import type { EventKind } from "./task-store.ts";

/** A committed event, or (payload null) only the news that the task has reached this generation. */
export interface RelayedEvent {
  taskId: string;
  generation: number;
  epoch: number;
  kind: EventKind;
  payload: string | null;
  /** Whether the task's state after this event is terminal. */
  terminal: boolean;
}

/** "Look at this turn": it was bound, ended, or taken. */
export interface TurnNews {
  turnId: string;
}

/** "Look at your rows": a turn was assigned, a cancel mark was set. */
export interface Nudge {
  turnId?: string;
  cancelTaskId?: string;
}

export interface RelaySubscription {
  /** Settles when the subscription is in force at the server, or at once when the relay is down. */
  joined: Promise<void>;
  leave(): void;
}

/** What an instance publishes also reaches its own subscriptions, asynchronously and even while the relay is down. */
export interface Relay {
  /** False while other instances may not be reached: rows meant for this instance are then polled faster. */
  readonly connected: boolean;
  publishEvent(event: RelayedEvent): void;
  publishTurn(news: TurnNews): void;
  nudge(instanceId: string, nudge: Nudge): void;
  /** "There is work nobody holds": released or orphaned tasks and turns. */
  publishClaimable(): void;
  joinTask(taskId: string, onEvent: (event: RelayedEvent) => void): RelaySubscription;
  joinTurn(turnId: string, onNews: (news: TurnNews) => void): RelaySubscription;
  joinInstance(instanceId: string, onNudge: (nudge: Nudge) => void): RelaySubscription;
  joinClaimable(onClaimable: () => void): RelaySubscription;
  /** Calls back each time the relay is back after it was away: what was said meanwhile has to be read from the record. */
  onReconnect(listener: () => void): void;
  close(): Promise<void>;
}
