import type { AgentEvent, AgentEvents, ExchangeEnd } from "../../ports/agent.ts";
import { SseDecoder } from "../../protocol/sse.ts";

/** The connection under an SSE reply. */
export interface EventSource {
  pause(): void;
  resume(): void;
  /** Drops the connection. */
  abort(): void;
}

/** Events wait here unread up to this many UTF-16 units; then the connection is not read any further. */
const BUFFERED_UNITS = 64 * 1024;

/**
 * The events of one SSE reply, read as fast as they are asked for. The connection pushes bytes in and says how it
 * ended; one reader pulls.
 */
export class HttpAgentEvents implements AgentEvents, AsyncIterator<AgentEvent> {
  end: ExchangeEnd | null = null;
  readonly #source: EventSource;
  readonly #maxEventBytes: number;
  readonly #decoder = new SseDecoder();
  #ready: AgentEvent[] = [];
  #readyIndex = 0;
  #readyUnits = 0;
  #unfinishedBytes = 0;
  #ended: ExchangeEnd | "closed" | null = null;
  #paused = false;
  #pull: ((result: IteratorResult<AgentEvent, undefined>) => void) | null = null;

  constructor(source: EventSource, maxEventBytes: number) {
    this.#source = source;
    this.#maxEventBytes = maxEventBytes;
  }

  /** Bytes of the reply. False = an event grew beyond the bound and the reply is given up. */
  push(bytes: Uint8Array): boolean {
    const events = this.#decoder.push(bytes);
    this.#unfinishedBytes = events.length > 0 ? 0 : this.#unfinishedBytes + bytes.length;
    this.#add(events);
    return this.#unfinishedBytes <= this.#maxEventBytes;
  }

  /** The reply is over; repeating it does nothing. An event that broke off in the middle is none. */
  finish(end: ExchangeEnd): void {
    if (this.#ended !== null) return;
    if (end === "clean") this.#add(this.#decoder.end());
    this.#ended = end;
    if (this.#pull !== null) this.#settle(this.#pull);
  }

  [Symbol.asyncIterator](): AsyncIterator<AgentEvent> {
    return this;
  }

  next(): Promise<IteratorResult<AgentEvent, undefined>> {
    return new Promise((resolve) => {
      if (this.#readyIndex < this.#ready.length || this.#ended !== null) this.#settle(resolve);
      else this.#pull = resolve;
    });
  }

  return(): Promise<IteratorResult<AgentEvent, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  close(): void {
    if (this.#ended === null) {
      this.#ended = "closed";
      this.#source.abort();
    }
    this.#ready = [];
    this.#readyIndex = 0;
    if (this.#pull !== null) this.#settle(this.#pull);
  }

  #add(events: readonly AgentEvent[]): void {
    for (const event of events) {
      if (this.#pull !== null) {
        const pull = this.#pull;
        this.#pull = null;
        pull({ done: false, value: event });
        continue;
      }
      this.#ready.push(event);
      this.#readyUnits += event.data.length;
    }
    if (this.#readyUnits <= BUFFERED_UNITS || this.#paused || this.#ended !== null) return;
    this.#paused = true;
    this.#source.pause();
  }

  #settle(resolve: (result: IteratorResult<AgentEvent, undefined>) => void): void {
    this.#pull = null;
    const event = this.#ready[this.#readyIndex];
    if (event === undefined) {
      if (this.#ended !== "closed") this.end = this.#ended;
      resolve({ done: true, value: undefined });
      return;
    }
    this.#readyIndex += 1;
    this.#readyUnits -= event.data.length;
    if (this.#readyIndex === this.#ready.length) {
      this.#ready = [];
      this.#readyIndex = 0;
    }
    if (this.#paused && this.#readyUnits < BUFFERED_UNITS / 2) {
      this.#paused = false;
      this.#source.resume();
    }
    resolve({ done: false, value: event });
  }
}
