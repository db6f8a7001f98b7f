/** One task's feed: its head, its window of newest events, and who waits for more. Shared by all its holders. */
import { EventWindow, succession } from "../domain/replay.ts";
import type { Clock } from "../ports/clock.ts";
import type { Relay, RelayedEvent, RelaySubscription } from "../ports/relay.ts";
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

export interface FeedOptions {
  clock: Clock;
  /** Newest events held per watched task. Default 256. */
  windowEvents?: number;
  /** UTF-16 units of payload held per watched task. Default 1 Mi. */
  windowSize?: number;
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
  /** How often the record went back behind a head that was known: a standby that was behind took over. */
  readonly rewinds: number;
  /** The handle was given back, or all feeds were closed. */
  readonly closed: boolean;
  /** Tells what a read of the record has shown. */
  observe(generation: number, terminal: boolean): void;
  /** Takes back a head that was claimed but that the record does not have. */
  correct(claimed: number, generation: number, terminal: boolean): void;
  /** Resolves when the head is beyond `after`, the task is gone, the feed is closed or the signal aborts. */
  wait(after: number, signal?: AbortSignal): Promise<void>;
  /** The event of this generation, if the window holds it. */
  at(generation: number): FeedEvent | undefined;
  /** Registers a reader, which keeps the window filled while it is behind. */
  attach(reader: FeedReader): FeedAttachment;
  /** Gives the handle back; repeating it does nothing. */
  close(): void;
}

/** Called when something may have changed for a parked reader. */
export interface FeedReader {
  wake(): void;
}

export interface FeedAttachment {
  /** Waits for a head beyond `after`; false when there is no need to. A parked reader is woken once. */
  park(after: number): boolean;
  detach(): void;
}

/** What all handles of one task share. */
export class Feed {
  readonly taskId: string;
  holders = 0;
  head = 0;
  terminal = false;
  gone = false;
  closed = false;
  rewinds = 0;
  joined: Promise<void> = Promise.resolve();
  heardAt: number;
  readonly #clock: Clock;
  readonly #window: EventWindow<FeedEvent>;
  #subscription: RelaySubscription | null = null;
  /** Epoch of the event at the head; null when the head is known from the record only. */
  #headEpoch: number | null = null;
  #readers = 0;
  #parked = new Set<FeedReader>();
  #waits = new Set<() => void>();

  constructor(taskId: string, options: FeedOptions) {
    this.taskId = taskId;
    this.#clock = options.clock;
    this.heardAt = options.clock.monotonicMs();
    this.#window = new EventWindow(options.windowEvents ?? 256, options.windowSize ?? 1024 * 1024);
  }

  get hasWaiting(): boolean {
    return this.#parked.size + this.#waits.size > 0;
  }

  join(relay: Relay): void {
    this.#subscription = relay.joinTask(this.taskId, (event) => this.#relayed(event));
    this.joined = this.#subscription.joined;
  }

  shut(): void {
    this.closed = true;
    this.#subscription?.leave();
    this.#window.clear();
    this.#wake();
  }

  #relayed(event: RelayedEvent): void {
    const { generation, epoch, kind, payload, terminal } = event;
    if (payload === null) this.#advance(event);
    else this.admit({ generation, epoch, kind, payload, terminal });
  }

  admit(event: FeedEvent): void {
    // Epochs never fall along a history, so a later owner's event behind the head belongs to another history.
    const branched = event.generation <= this.head && this.#headEpoch !== null && event.epoch > this.#headEpoch;
    if (branched) this.rewind(event.generation - 1, false);
    // After a gap the window starts again: who is behind reads the log, up to and including this event.
    if (succession(this.head, event.generation) !== "repeat") this.#window.add(event);
    this.#advance(event);
  }

  #advance(event: { generation: number; epoch: number; terminal: boolean }): void {
    this.observe(event.generation, event.terminal);
    if (event.generation === this.head) this.#headEpoch = event.epoch;
  }

  observe(generation: number, terminal: boolean): void {
    if (generation < this.head) return;
    this.heardAt = this.#clock.monotonicMs();
    if (generation === this.head && (this.terminal || !terminal)) return;
    if (generation > this.head) this.#headEpoch = null;
    this.head = generation;
    this.terminal = terminal;
    this.#wake();
  }

  /** The record stands behind the head that was known. */
  rewind(generation: number, terminal: boolean): void {
    this.rewinds += 1;
    this.head = generation;
    this.terminal = terminal;
    this.#headEpoch = null;
    this.#window.clear();
    this.#wake();
  }

  vanish(): void {
    // A head of 0 means that nobody has seen the task in the record yet: it may be about to be created.
    if (this.head === 0) return;
    this.gone = true;
    this.#wake();
  }

  /** Lets go of a head that the record does not confirm. */
  correct(head: number, generation: number, terminal: boolean): void {
    if (this.head === head && generation < head) this.rewind(generation, terminal);
  }

  at(generation: number): FeedEvent | undefined {
    return this.#window.at(generation);
  }

  attach(reader: FeedReader): FeedAttachment {
    this.#readers += 1;
    let attached = true;
    return {
      park: (after) => {
        if (this.#settled(after)) return false;
        this.#parked.add(reader);
        if (this.#parked.size === this.#readers) this.#window.clear();
        return true;
      },
      detach: () => {
        if (!attached) return;
        attached = false;
        this.#readers -= 1;
        this.#parked.delete(reader);
      },
    };
  }

  wait(after: number, signal?: AbortSignal): Promise<void> {
    if (this.#settled(after) || signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = (): void => {
        signal?.removeEventListener("abort", settle);
        this.#waits.delete(check);
        resolve();
      };
      const check = (): void => {
        if (this.#settled(after)) settle();
      };
      this.#waits.add(check);
      signal?.addEventListener("abort", settle, { once: true });
    });
  }

  #settled(after: number): boolean {
    return this.head > after || this.gone || this.closed || (this.terminal && this.head <= after);
  }

  #wake(): void {
    const parked = this.#parked;
    if (parked.size > 0) {
      this.#parked = new Set();
      for (const reader of parked) reader.wake();
    }
    for (const check of this.#waits) check();
  }
}

/** One holder's view of a shared feed; `release` is told when it is given back. */
export class FeedHandle implements TaskFeed {
  readonly #feed: Feed;
  readonly #release: (feed: Feed) => void;
  #closed = false;

  constructor(feed: Feed, release: (feed: Feed) => void) {
    this.#feed = feed;
    this.#release = release;
    feed.holders += 1;
  }

  get taskId(): string {
    return this.#feed.taskId;
  }
  get joined(): Promise<void> {
    return this.#feed.joined;
  }
  get head(): number {
    return this.#feed.head;
  }
  get terminal(): boolean {
    return this.#feed.terminal;
  }
  get gone(): boolean {
    return this.#feed.gone;
  }
  get rewinds(): number {
    return this.#feed.rewinds;
  }
  get closed(): boolean {
    return this.#closed || this.#feed.closed;
  }

  observe(generation: number, terminal: boolean): void {
    this.#feed.observe(generation, terminal);
  }

  correct(head: number, generation: number, terminal: boolean): void {
    this.#feed.correct(head, generation, terminal);
  }

  wait(after: number, signal?: AbortSignal): Promise<void> {
    return this.#feed.wait(after, signal);
  }

  at(generation: number): FeedEvent | undefined {
    return this.#feed.at(generation);
  }

  attach(reader: FeedReader): FeedAttachment {
    return this.#feed.attach(reader);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#feed.holders -= 1;
    this.#release(this.#feed);
  }
}
