import type { Clock } from "../ports/clock.ts";
import type { TaskStore } from "../ports/task-store.ts";
import type { Logger } from "./logger.ts";
import type { FeedEvent, TaskFeed } from "./task-feeds.ts";

/**
 * Why no event follows. `terminal`: the last event sent (or the cursor itself) is the task's end. `reached`: `until` was
 * sent. `gone`: the task was swept. `rewound`: the record ends before the cursor (a standby that was behind took over).
 */
export type FollowEnd = "terminal" | "reached" | "aborted" | "gone" | "rewound";

export interface FollowOptions {
  feed: TaskFeed;
  store: Pick<TaskStore, "readEvents" | "readPositions">;
  clock: Clock;
  log: Logger;
  /** Generation the reader has already. */
  after: number;
  /** Last generation to send; follows to the task's end when absent. */
  until?: number;
  /** Ends the iteration, also while it waits. */
  signal: AbortSignal;
  /** Bounds of one page read from the log. Default 256 rows, 1 MiB. */
  pageRows?: number;
  pageBytes?: number;
  /** Called when a reader had to go to the log. */
  onGapFilled?: () => void;
}

/** Committed events after+1, after+2 … (I6). Not restartable; `end` is set once iteration is done. */
export interface Following extends AsyncIterableIterator<FeedEvent> {
  readonly end: FollowEnd | null;
}

/** Follows a task from the feed's window, else from the log, else waits. Store outages are waited out, never shown. */
export function followTask(_options: FollowOptions): Following {
  throw new Error("unbuilt");
}
