/** Writes SSE the way different servers do: line ends, ids, comments, multi-line data and awkward chunk boundaries. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setImmediate as nextTick } from "node:timers/promises";

/** The knobs of the framing, each a word in the message text. */
export interface Framing {
  lineEnd: "\n" | "\r\n" | "\r";
  /** An `id:` line with a random id before the data, as Go does, or a number after it, as Java does. */
  id: "none" | "before" | "after";
  /** A comment line before every event. */
  comments: boolean;
  /** The JSON pretty-printed over several `data:` lines. */
  multiline: boolean;
  /** Chunks of seven bytes: events and UTF-8 sequences are cut anywhere. */
  split: boolean;
}

export class SseWriter {
  readonly #response: ServerResponse;
  readonly #framing: Framing;
  #sent = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(response: ServerResponse, framing: Framing) {
    this.#response = response;
    this.#framing = framing;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.flushHeaders();
  }

  /** How many events were written. */
  get sent(): number {
    return this.#sent;
  }

  /** Undefined when the socket takes more at once; else a promise to wait for before the next event. */
  write(json: string, eventName?: string): Promise<void> | undefined {
    if (this.#response.destroyed || this.#response.writableEnded) return undefined;
    const text = this.#frame(json, eventName);
    this.#sent++;
    if (this.#framing.split) {
      this.#tail = this.#tail.then(() => this.#writeInPieces(Buffer.from(text)));
      return this.#tail;
    }
    if (this.#response.write(text)) return undefined;
    return Promise.race([once(this.#response, "drain"), once(this.#response, "close")]).then(() => undefined);
  }

  /** Ends with complete framing. */
  async end(): Promise<void> {
    await this.#tail;
    this.#response.end();
  }

  /** Breaks the connection in the middle of an event. */
  async cut(): Promise<void> {
    await this.#tail;
    this.#response.write('data: {"jsonrpc":"2.0","id":');
    await nextTick();
    this.#response.destroy();
  }

  #frame(json: string, eventName: string | undefined): string {
    const { lineEnd, id, comments, multiline } = this.#framing;
    const dataLines = (multiline ? spread(json) : json).split("\n").map((line) => `data: ${line}`);
    const lines = [
      ...(comments ? [`: ping - ${new Date().toISOString()}`] : []),
      ...(eventName === undefined ? [] : [`event: ${eventName}`]),
      ...(id === "before" ? [`id: ${randomUUID()}`] : []),
      ...dataLines,
      ...(id === "after" ? [`id: ${this.#sent}`] : []),
      "",
      "",
    ];
    return lines.join(lineEnd);
  }

  async #writeInPieces(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += 7) {
      if (this.#response.destroyed) return;
      this.#response.write(bytes.subarray(at, at + 7));
      await nextTick();
    }
  }
}

/** Adds a line break after every comma and bracket outside of strings; no other byte changes. */
function spread(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|[,{[]/g, (token) => (token.startsWith('"') ? token : `${token}\n  `));
}
