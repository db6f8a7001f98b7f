/**
 * One in-process feed per task that somebody here watches. A feed knows the task's head and holds the newest events in
 * one window that all its readers share; readers pull (follow-task.ts), nothing is queued per reader. Once every reader
 * has everything the window is emptied.
 *
 * A feed lives from the first `open` to the last `close` and is a member of the task's relay subject meanwhile.
 */
import type { Relay, RelayedEvent } from "../ports/relay.ts";
import type { Logger } from "./logger.ts";
import { Feed, FeedHandle, type FeedEvent, type FeedOptions, type TaskFeed } from "./task-feed.ts";

export type { FeedEvent, TaskFeed } from "./task-feed.ts";

export interface TaskFeedsOptions extends FeedOptions {
  log: Logger;
}

/** A second publication of a task's end, late enough not to be lost together with the first one. */
const TERMINAL_REPEAT_MS = 100;

export class TaskFeeds {
  readonly #relay: Relay;
  readonly #options: TaskFeedsOptions;
  readonly #feeds = new Map<string, Feed>();

  constructor(relay: Relay, options: TaskFeedsOptions) {
    this.#relay = relay;
    this.#options = options;
  }

  /** Handles open at this moment, over all tasks. */
  get size(): number {
    let holders = 0;
    for (const feed of this.#feeds.values()) holders += feed.holders;
    return holders;
  }

  /** For readers: who only records calls `committed` and needs no feed. */
  open(taskId: string): TaskFeed {
    let feed = this.#feeds.get(taskId);
    if (feed === undefined) {
      feed = new Feed(taskId, this.#options);
      this.#feeds.set(taskId, feed);
      feed.join(this.#relay);
    }
    return new FeedHandle(feed, (released) => this.#release(released));
  }

  /** Called by the recorder after each commit: wakes the readers here, then tells the other instances. */
  committed(taskId: string, events: readonly FeedEvent[]): void {
    const feed = this.#feeds.get(taskId);
    for (const event of events) feed?.admit(event);
    for (const event of events) {
      this.#relay.publishEvent({ taskId, ...event });
      if (event.terminal) this.#repeatLater({ taskId, ...event });
    }
  }

  /** Watched tasks whose readers wait and that nobody has spoken of for `silentMs`, with their heads; all that wait when it is 0. */
  silent(silentMs: number): Map<string, number> {
    const before = this.#options.clock.monotonicMs() - silentMs;
    const heads = new Map<string, number>();
    for (const feed of this.#feeds.values()) {
      if (feed.hasWaiting && feed.heardAt <= before) heads.set(feed.taskId, feed.head);
    }
    return heads;
  }

  /** Tells the feed, if there is one, where the record stands. `asked` = the feed's head when the question was sent. */
  stands(position: { taskId: string; generation: number; terminal: boolean; asked: number }): void {
    const { taskId, generation, terminal, asked } = position;
    const feed = this.#feeds.get(taskId);
    // What was known before the question had been committed before it: the record has lost it.
    if (generation < asked) feed?.correct(asked, generation, terminal);
    else feed?.observe(generation, terminal);
  }

  /** Tells the feed, if there is one, that the record does not know the task any more. */
  vanished(taskId: string): void {
    this.#feeds.get(taskId)?.vanish();
  }

  /** Closes every feed and wakes every reader; used on exit. */
  close(): void {
    const feeds = [...this.#feeds.values()];
    this.#feeds.clear();
    for (const feed of feeds) feed.shut();
  }

  #release(feed: Feed): void {
    if (feed.holders > 0 || this.#feeds.get(feed.taskId) !== feed) return;
    this.#feeds.delete(feed.taskId);
    feed.shut();
  }

  #repeatLater(event: RelayedEvent): void {
    this.#options.clock
      .sleep(TERMINAL_REPEAT_MS)
      .then(() => this.#relay.publishEvent(event))
      .catch((error: unknown) => this.#options.log.error({ err: error }, "repeating a terminal event failed"));
  }
}
