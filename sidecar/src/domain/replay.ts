/**
 * What a reader of a task's events gets next (P3, I6): where a resuming client starts, whether an event that was relayed
 * continues the known history, and a bounded window of the newest events.
 */

/** The head of a task as far as it is known here. */
export interface KnownHead {
  /** 0 = nothing known. */
  generation: number;
  /** Whether the state at this generation is terminal: then no event follows (P6). */
  terminal: boolean;
}

/** Where a subscription starts. `snapshot` = a Task first, as without a cursor; `ended` = nothing is left to send. */
export type ResumePoint = { kind: "snapshot" } | { kind: "after"; generation: number } | { kind: "ended" };

const DECIMAL = /^[1-9][0-9]{0,15}$/;

/** Reads a `Last-Event-ID`. Anything but a decimal generation up to the head counts as absent. */
export function resumePoint(lastEventId: string | null | undefined, head: KnownHead): ResumePoint {
  if (lastEventId == null || !DECIMAL.test(lastEventId)) return { kind: "snapshot" };
  const generation = Number(lastEventId);
  if (generation > head.generation) return { kind: "snapshot" };
  if (generation === head.generation && head.terminal) return { kind: "ended" };
  return { kind: "after", generation };
}

/** How an event stands to the known head: it continues it, leaves a gap the log has to fill, or is known already. */
export function succession(head: number, generation: number): "next" | "gap" | "repeat" {
  if (generation === head + 1) return "next";
  return generation > head ? "gap" : "repeat";
}

export interface WindowEvent {
  generation: number;
  payload: string;
}

/**
 * The newest events of a task without gaps between them, bounded in number and size. Its readers share it; one who has
 * fallen out of it reads the log, so a slow reader costs no memory.
 */
export class EventWindow<T extends WindowEvent> {
  readonly #maxEvents: number;
  readonly #maxSize: number;
  #events: T[] = [];
  /** Index of the oldest event still held: dropping from the front of an array per event would copy it each time. */
  #start = 0;
  #size = 0;

  /** `maxSize` counts UTF-16 units of payload. The newest event is held even when it alone is larger. */
  constructor(maxEvents: number, maxSize: number) {
    this.#maxEvents = maxEvents;
    this.#maxSize = maxSize;
  }

  get length(): number {
    return this.#events.length - this.#start;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds the newest event; when it does not follow the last one held, the window starts again with it. */
  add(event: T): void {
    const last = this.#events.at(-1);
    if (last !== undefined && event.generation !== last.generation + 1) this.clear();
    this.#events.push(event);
    this.#size += event.payload.length;
    while (this.length > 1 && (this.length > this.#maxEvents || this.#size > this.#maxSize)) this.#dropOldest();
  }

  /** The event of this generation, if it is held. */
  at(generation: number): T | undefined {
    const first = this.#events[this.#start];
    if (first === undefined || generation < first.generation) return undefined;
    return this.#events[this.#start + generation - first.generation];
  }

  clear(): void {
    this.#events = [];
    this.#start = 0;
    this.#size = 0;
  }

  #dropOldest(): void {
    const oldest = this.#events[this.#start];
    if (oldest === undefined) return;
    this.#size -= oldest.payload.length;
    this.#start += 1;
    if (this.#start * 2 < this.#events.length) return;
    this.#events = this.#events.slice(this.#start);
    this.#start = 0;
  }
}
