/**
 * One in-process feed per task that somebody here watches. A feed knows the task's head and holds the newest events in
 * one window that all its readers share; readers pull (follow-task.ts), nothing is queued per reader.
 *
 * A feed lives from the first `open` to the last `close` and is a member of the task's relay subject meanwhile.
 */
import type { Relay } from "../ports/relay.ts";
import type { EventKind } from "../ports/task-store.ts";

/** A committed event as it is shown. */
export interface FeedEvent {
  generation: number;
  epoch: number;
  kind: EventKind;
  payload: string;
  /** Whether the task's state after it is terminal: nothing follows. */
  terminal: boolean;
}

export interface TaskFeedsOptions {
  /** Newest events held per watched task. Default 256. */
  windowEvents?: number;
  /** UTF-16 units of payload held per watched task. Default 1 Mi. */
  windowSize?: number;
  /** Monotonic milliseconds; tells which feeds were not heard of lately. */
  monotonicMs: () => number;
}

/** One holder's handle on a task's feed. */
export interface TaskFeed {
  readonly taskId: string;
  /** Settles when relayed events arrive here, or at once when the relay is down. Await it before reading the record. */
  readonly joined: Promise<void>;
  /** Highest generation known here; 0 before the first. */
  readonly head: number;
  /** Whether the state at the head is terminal. */
  readonly terminal: boolean;
  /** The task was swept from the record. */
  readonly gone: boolean;
  /** Tells what a read of the record has shown. */
  observe(generation: number, terminal: boolean): void;
  /** Resolves when the head is beyond `after`, the task is gone, the feed is closed or the signal aborts. */
  wait(after: number, signal?: AbortSignal): Promise<void>;
  /** Gives the handle back; repeating it does nothing. */
  close(): void;
}

export class TaskFeeds {
  constructor(_relay: Relay, _options: TaskFeedsOptions) {}
  open(_taskId: string): TaskFeed {
    throw new Error("unbuilt");
  }
  /** Called by the recorder after each commit: wakes the readers here, then tells the other instances. */
  committed(_taskId: string, _events: readonly FeedEvent[]): void {
    throw new Error("unbuilt");
  }
  /** Closes every feed and wakes every reader; used on exit. */
  close(): void {
    throw new Error("unbuilt");
  }
}
