import { createParser, type EventSourceParser } from "eventsource-parser";

/** One Server-Sent Event. `name` is its `event:` field, "message" when absent. */
export interface SseEvent {
  name: string;
  data: string;
}

/**
 * Bytes to events, whatever the chunks: a character, a line end or an event may be cut anywhere. Line ends CRLF, LF and
 * CR, comments, a byte order mark and several `data:` lines are understood; an event without data is none (WHATWG HTML
 * §9.2.6). Neither method throws; bytes that are not UTF-8 become U+FFFD.
 */
export class SseDecoder {
  #ready: SseEvent[] = [];
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #parser: EventSourceParser;

  constructor() {
    this.#parser = createParser({
      onEvent: (event) => {
        this.#ready.push({ name: event.event ?? "message", data: event.data });
      },
    });
  }

  /** The events that these bytes complete. */
  push(bytes: Uint8Array): SseEvent[] {
    const chunk = this.#decoder.decode(bytes, { stream: true });
    if (chunk !== "") this.#parser.feed(chunk);
    return this.#take();
  }

  /** The event that the end of a complete body leaves without its blank line, if any. For a body that broke off: do not ask. */
  end(): SseEvent[] {
    this.#parser.feed(`${this.#decoder.decode()}\n\n`);
    return this.#take();
  }

  #take(): SseEvent[] {
    if (this.#ready.length === 0) return this.#ready;
    const taken = this.#ready;
    this.#ready = [];
    return taken;
  }
}

/** The text of one event. The data of ours is one line of JSON: the 0.3 JavaScript client keeps only the last `data:` line. */
export function encodeSse(event: { id?: string; event?: string; data: string }): string {
  const id = event.id === undefined ? "" : `id: ${event.id}\n`;
  const name = event.event === undefined ? "" : `event: ${event.event}\n`;
  return `${id}${name}data: ${onDataLines(event.data)}\n\n`;
}

/** Keeps idle connections open; every client ignores it. */
export const keepAliveComment = ": keep-alive\n\n";

function onDataLines(data: string): string {
  if (data.indexOf("\n") === -1 && data.indexOf("\r") === -1) return data;
  return data.replace(/\r\n|\r|\n/g, "\ndata: ");
}
