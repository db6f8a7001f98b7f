/** A client that costs little: many streams at once over bare `node:http`, each event looked at once and not kept. */
import { Agent, request } from "node:http";
import type { IncomingMessage } from "node:http";
import type { Call } from "./checker-wire.ts";

/** What one stream brought. */
export interface LoadResult {
  /** Events after the snapshot, where there was one. */
  events: number;
  firstGeneration: number;
  lastGeneration: number;
  /** Where generations were missing, repeated or out of order, or an event was not what was expected. */
  faults: string[];
}

export interface LoadStream {
  /** Resolves with the first event's data, when the task is known. */
  readonly begun: Promise<string>;
  /** Rejects when there was no stream or it broke. */
  readonly done: Promise<LoadResult>;
  /** Breaks the connection; `done` rejects. */
  destroy(): void;
}

/** There was no stream but another answer. */
export class RefusedError extends Error {
  readonly status: number;

  constructor(status: number, body: string) {
    super(`no stream but ${status} ${body.slice(0, 300)}`);
    this.name = "RefusedError";
    this.status = status;
  }
}

export interface LoadOptions {
  lastEventId?: number;
  /** The response is not read, down to its socket, before this settles. */
  hold?: Promise<unknown>;
  /** Says what is wrong with an event; null = nothing. */
  expectEvent?: (generation: number, data: string) => string | null;
}

/** Opens streams on connections of its own. */
export class LoadClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  stream(call: Call, options: LoadOptions = {}): LoadStream {
    const begun = Promise.withResolvers<string>();
    const done = Promise.withResolvers<LoadResult>();
    const fail = (error: Error) => {
      begun.reject(error);
      done.reject(error);
    };
    // Whoever waits for one of the two hears of it.
    begun.promise.catch(() => undefined);
    done.promise.catch(() => undefined);
    const headers = {
      ...call.headers,
      accept: "text/event-stream",
      ...(options.lastEventId !== undefined && { "last-event-id": String(options.lastEventId) }),
    };
    const sent = request(call.url, { method: "POST", headers, agent: this.#agent }, (response) => {
      if (response.headers["content-type"]?.startsWith("text/event-stream") !== true) {
        void readText(response).then((text) => fail(new RefusedError(response.statusCode ?? 0, text)), fail);
        return;
      }
      const reading = new Reading(options, begun.resolve);
      response.setEncoding("utf8");
      const read = () => response.on("data", (text: string) => reading.add(text));
      if (options.hold === undefined) read();
      else void options.hold.then(read);
      response.on("end", () => {
        begun.resolve("");
        done.resolve(reading.result);
      });
      response.on("error", fail);
    });
    sent.on("error", fail);
    sent.setNoDelay(true);
    sent.end(call.body);
    return { begun: begun.promise, done: done.promise, destroy: () => sent.destroy() };
  }

  close(): void {
    this.#agent.destroy();
  }
}

class Reading {
  readonly result: LoadResult = { events: 0, firstGeneration: 0, lastGeneration: 0, faults: [] };
  readonly #options: LoadOptions;
  readonly #onFirst: (data: string) => void;
  #rest = "";

  constructor(options: LoadOptions, onFirst: (data: string) => void) {
    this.#options = options;
    this.#onFirst = onFirst;
  }

  add(text: string): void {
    const all = this.#rest + text;
    let start = 0;
    for (let end = all.indexOf("\n\n"); end >= 0; end = all.indexOf("\n\n", start)) {
      if (all[start] !== ":") this.#take(all.slice(start, end));
      start = end + 2;
    }
    this.#rest = all.slice(start);
  }

  #take(block: string): void {
    const match = /^id: (\d+)\ndata: /.exec(block);
    const { result } = this;
    if (match === null) {
      result.faults.push(`no event with an id: ${block.slice(0, 300)}`);
      return;
    }
    const generation = Number(match[1]);
    const data = block.slice(match[0].length);
    if (result.events === 0) {
      result.firstGeneration = generation;
      this.#onFirst(data);
    } else if (generation !== result.lastGeneration + 1) {
      result.faults.push(`generation ${generation} after ${result.lastGeneration}`);
    }
    result.events += 1;
    result.lastGeneration = generation;
    const fault = this.#options.expectEvent?.(generation, data) ?? null;
    if (fault !== null) result.faults.push(fault);
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** Resident memory of a process in megabytes. */
export function residentMegabytes(status: string): number {
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
}
