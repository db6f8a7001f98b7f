/**
 * Follows one task's events for one reader: from the feed's window, else from the log page by page, else it waits. The
 * reader pulls, so one that is slow holds at most a page, and falls back on the log when the window has moved on.
 */
import type { Clock } from "../ports/clock.ts";
import { StoreError, type EventRow, type TaskStore } from "../ports/task-store.ts";
import { isTerminal } from "../domain/task-state.ts";
import type { Logger } from "./logger.ts";
import type { FeedAttachment, FeedEvent, FeedReader, TaskFeed } from "./task-feed.ts";

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
  /** Bounds of one page read from the log. Default 128 rows, 128 KiB. */
  pageRows?: number;
  pageBytes?: number;
  /** Called when a reader that was up to date had to go to the log. */
  onGapFilled?: () => void;
}

/**
 * Committed events after+1, after+2 … (I6). Not restartable; `end` is set once iteration is done. `return()` takes
 * effect at once, also while a `next()` is pending. The feed stays open: its holder closes it.
 */
export interface Following extends AsyncIterableIterator<FeedEvent> {
  readonly end: FollowEnd | null;
}

/** Follows a task from the feed's window, else from the log, else waits. Store outages are waited out, never shown. */
export function followTask(options: FollowOptions): Following {
  return new Follower(options);
}

const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 1_000;
const DONE = { done: true, value: undefined } as const;

class Follower implements Following, FeedReader {
  end: FollowEnd | null = null;
  readonly #options: FollowOptions;
  readonly #attachment: FeedAttachment;
  readonly #rewinds: number;
  readonly #onAbort = (): void => this.#finish("aborted");
  #after: number;
  #page: EventRow[] = [];
  #pageIndex = 0;
  #backoffMs = 0;
  #wasCurrent = false;
  #woken: (() => void) | null = null;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#after = options.after;
    this.#rewinds = options.feed.rewinds;
    this.#attachment = options.feed.attach(this);
    options.signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<FeedEvent, undefined>> {
    for (;;) {
      if (this.#options.signal.aborted) this.#finish("aborted");
      const event = this.end === null ? (this.#fromWindow() ?? this.#fromPage()) : null;
      if (event !== null) return { done: false, value: this.#deliver(event) };
      this.#endIfDone();
      if (this.end !== null) return DONE;
      if (this.#options.feed.head > this.#after) await this.#readPage();
      else await this.#waitForMore();
    }
  }

  return(): Promise<IteratorResult<FeedEvent, undefined>> {
    this.#finish("aborted");
    return Promise.resolve(DONE);
  }

  wake(): void {
    const woken = this.#woken;
    this.#woken = null;
    woken?.();
  }

  #deliver(event: FeedEvent): FeedEvent {
    this.#after = event.generation;
    if (event.terminal) this.#finish("terminal");
    else if (this.#after === this.#options.until) this.#finish("reached");
    return event;
  }

  #fromWindow(): FeedEvent | null {
    const event = this.#options.feed.at(this.#after + 1);
    if (event === undefined) return null;
    this.#dropPage();
    return event;
  }

  #fromPage(): FeedEvent | null {
    const row = this.#page[this.#pageIndex];
    if (row === undefined) {
      this.#dropPage();
      return null;
    }
    const { feed } = this.#options;
    // Only the head's state is known. A row beyond it waits until the head is: the news of it is on its way.
    if (row.generation > feed.head) return null;
    this.#pageIndex += 1;
    const { generation, epoch, kind, payload } = row;
    return { generation, epoch, kind, payload, terminal: feed.terminal && generation === feed.head };
  }

  #dropPage(): void {
    this.#page = [];
    this.#pageIndex = 0;
  }

  /** Reasons to stop that do not come with an event. */
  #endIfDone(): void {
    const { feed, until } = this.#options;
    if (this.end !== null) return;
    if (feed.gone) this.#finish("gone");
    else if (feed.closed) this.#finish("aborted");
    else if (until !== undefined && this.#after >= until) this.#finish("reached");
    else if (feed.terminal && feed.head === this.#after) this.#finish("terminal");
    else if (feed.head < this.#after && (feed.terminal || feed.rewinds > this.#rewinds)) this.#finish("rewound");
  }

  async #waitForMore(): Promise<void> {
    this.#wasCurrent = true;
    if (!this.#attachment.park(this.#after)) return;
    await new Promise<void>((resolve) => {
      this.#woken = resolve;
    });
  }

  async #readPage(): Promise<void> {
    const { store, feed, pageRows = 128, pageBytes = 128 * 1024 } = this.#options;
    const claimed = feed.head;
    if (this.#wasCurrent) this.#options.onGapFilled?.();
    this.#wasCurrent = false;
    try {
      const limit = Math.min(pageRows, claimed - this.#after);
      const rows = await store.readEvents(feed.taskId, this.#after, limit, pageBytes);
      if (rows[0]?.generation === this.#after + 1) {
        this.#page = rows;
        this.#pageIndex = 0;
      } else await this.#askPosition(claimed);
      this.#backoffMs = 0;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      await this.#backOff(error);
    }
  }

  /** The log does not have what the head promised: the task was swept, the promise was wrong, or the record went back. */
  async #askPosition(claimed: number): Promise<void> {
    const { store, feed } = this.#options;
    const [position] = await store.readPositions([feed.taskId]);
    if (position === undefined) this.#finish("gone");
    else if (position.generation < this.#after) this.#finish("rewound");
    else if (position.generation === this.#after) {
      feed.correct(claimed, position.generation, isTerminal(position.state));
    }
  }

  /** Readers that fail together come back spread over the interval. */
  async #backOff(error: StoreError): Promise<void> {
    if (this.#backoffMs === 0) {
      this.#options.log.debug({ code: error.kind }, "reading a task's log failed, trying again until it works");
    }
    this.#backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, this.#backoffMs * 2));
    await this.#options.clock.sleep(this.#backoffMs * (0.5 + Math.random() / 2), this.#options.signal);
  }

  #finish(end: FollowEnd): void {
    if (this.end !== null) return;
    this.end = end;
    this.#dropPage();
    this.#attachment.detach();
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    this.wake();
  }
}
