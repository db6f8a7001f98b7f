import type { ServerResponse } from "node:http";
import type { EventsAnswer, SseEvent } from "../flows/answer.ts";
import { encodeSse, keepAliveComment } from "../protocol/sse.ts";

export interface SseReplyOptions {
  /** Milliseconds of silence after which a comment is sent. Default 15 s. */
  keepAliveMs?: number;
}

/** Events that are ready together share a chunk up to about this many UTF-16 units. */
const BATCH_UNITS = 64 * 1024;

/**
 * Writes events as the client takes them. Resolves when the iterator ended or the client is gone; an error of the
 * iterator ends the connection without its last chunk (the client sees a broken stream) and is rejected.
 */
export async function writeSse(
  response: ServerResponse,
  answer: EventsAnswer,
  options: SseReplyOptions = {},
): Promise<void> {
  const iterator = answer.events[Symbol.asyncIterator]();
  if (response.destroyed) {
    await iterator.return?.();
    return;
  }
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
    ...answer.headers,
  });
  response.flushHeaders();
  const out = new SseWriter(response, options.keepAliveMs ?? 15_000);
  let stopped: Promise<unknown> | undefined;
  response.once("close", () => {
    stopped = iterator.return?.();
    // Awaited below, once a `next()` that is under way has settled.
    stopped?.catch(() => undefined);
  });
  try {
    for (;;) {
      if (response.writableNeedDrain) await out.drained();
      const next = await iterator.next();
      if (next.done === true || response.destroyed) break;
      out.add(next.value);
    }
    out.end();
    await stopped;
  } catch (error) {
    out.abandon();
    throw error;
  }
}

class SseWriter {
  readonly #response: ServerResponse;
  readonly #keepAlive: NodeJS.Timeout;
  #batch = "";
  #scheduled = false;

  constructor(response: ServerResponse, keepAliveMs: number) {
    this.#response = response;
    this.#keepAlive = setInterval(() => this.#keepOpen(), keepAliveMs);
    this.#keepAlive.unref();
    response.once("close", () => clearInterval(this.#keepAlive));
  }

  add(event: SseEvent): void {
    this.#batch += "comment" in event ? `: ${event.comment}\n\n` : encodeSse(event);
    if (this.#batch.length >= BATCH_UNITS) this.#flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      // Runs when every event that is ready at this moment has been added.
      process.nextTick(() => this.#flush());
    }
  }

  end(): void {
    this.#flush();
    clearInterval(this.#keepAlive);
    if (!this.#response.destroyed) this.#response.end();
  }

  abandon(): void {
    clearInterval(this.#keepAlive);
    this.#response.destroy();
  }

  /** Resolves when the client has taken what was written, or is gone. */
  drained(): Promise<void> {
    const response = this.#response;
    return new Promise((resolve) => {
      const settle = (): void => {
        response.off("drain", settle).off("close", settle);
        resolve();
      };
      response.on("drain", settle).on("close", settle);
      if (response.destroyed) settle();
    });
  }

  #flush(): void {
    this.#scheduled = false;
    const batch = this.#batch;
    this.#batch = "";
    if (batch === "" || this.#response.destroyed) return;
    this.#response.write(batch);
    this.#keepAlive.refresh();
  }

  #keepOpen(): void {
    if (!this.#response.destroyed && !this.#response.writableNeedDrain) this.#response.write(keepAliveComment);
  }
}
