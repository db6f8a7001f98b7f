/**
 * The agent over HTTP/1.1 through undici's `dispatch`, which costs one callback object per exchange where `request`
 * costs streams (tails of 10 ms and more by garbage collection).
 */
import { isUtf8 } from "node:buffer";
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate } from "node:zlib";
import type { Dispatcher } from "undici";
import type { Agent, AgentExchange, AgentReply, AgentRequest } from "../../ports/agent.ts";
import { HttpAgentEvents } from "./agent-events.ts";

export interface HttpAgentOptions {
  /** From `openAgentPool`; closed with the agent. */
  pool: Dispatcher;
  /** AGENT_URL; its path, if any, is put before every request path. */
  agentUrl: string;
  /** Larger replies, and single SSE events, are given up as broken. Default 64 MiB. */
  maxReplyBytes?: number;
}

const MAX_REPLY_BYTES = 64 * 1024 * 1024;

export function openHttpAgent(options: HttpAgentOptions): Agent {
  const { pool, maxReplyBytes = MAX_REPLY_BYTES } = options;
  const prefix = pathPrefix(options.agentUrl);
  return {
    exchange: (request, { signal } = {}) =>
      new Promise((resolve) => {
        const exchange = new Exchange(resolve, maxReplyBytes, signal);
        if (exchange.settled) return;
        try {
          pool.dispatch(
            {
              method: request.method,
              path: prefix + request.path,
              headers: requestHeaders(request),
              body: request.body,
            },
            exchange,
          );
        } catch (error) {
          // A path or header that undici refuses to send, or a closed pool.
          exchange.fail("refused", error);
        }
      }),
    close: () => pool.destroy(),
  };
}

/** The path of AGENT_URL without its last slash. */
export function pathPrefix(agentUrl: string): string {
  return new URL(agentUrl).pathname.replace(/\/$/, "");
}

function requestHeaders(request: AgentRequest): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { ...request.headers, "accept-encoding": "identity" };
  if (request.body !== null) headers["content-type"] ??= "application/json";
  return headers;
}

/** One exchange: collects a reply, or hands an SSE reply out as soon as its headers are there. */
class Exchange implements Dispatcher.DispatchHandler {
  settled = false;
  readonly #resolve: (exchange: AgentExchange) => void;
  readonly #maxReplyBytes: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#abort(this.#signal?.reason);
  #controller: Dispatcher.DispatchController | null = null;
  #status = 0;
  #headers: Record<string, string | string[]> = {};
  #chunks: Buffer[] = [];
  #size = 0;
  #events: HttpAgentEvents | null = null;

  constructor(resolve: (exchange: AgentExchange) => void, maxReplyBytes: number, signal: AbortSignal | undefined) {
    this.#resolve = resolve;
    this.#maxReplyBytes = maxReplyBytes;
    this.#signal = signal;
    if (signal?.aborted === true) this.fail("refused", signal.reason);
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Settles as failed, or ends the events that were handed out. */
  fail(end: "broken" | "refused", cause: unknown): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#chunks = [];
    this.#events?.finish(end);
    if (this.settled) return;
    this.settled = true;
    this.#resolve({ kind: "failed", end, cause });
  }

  /** Called when the request is about to be written to a connection: before that nothing has been received. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.settled) controller.abort(new Error("given up before it was sent"));
    else this.#controller = controller;
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = present(headers);
    if (!isEventStream(this.#headers)) return;
    const source = {
      pause: () => controller.pause(),
      resume: () => controller.resume(),
      abort: () => controller.abort(new Error("not read any further")),
    };
    this.#events = new HttpAgentEvents(source, this.#maxReplyBytes);
    this.settled = true;
    this.#resolve({ kind: "events", status, headers: this.#headers, events: this.#events });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    let fits: boolean;
    if (this.#events === null) {
      this.#size += chunk.length;
      this.#chunks.push(chunk);
      fits = this.#size <= this.#maxReplyBytes;
    } else fits = this.#events.push(chunk);
    if (!fits) controller.abort(new Error(`the reply is larger than ${this.#maxReplyBytes} bytes`));
  }

  onResponseEnd(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    if (this.#events !== null) {
      this.#events.finish("clean");
      return;
    }
    const [only] = this.#chunks;
    const received = this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks);
    this.#chunks = [];
    const encoding = this.#headers["content-encoding"];
    if (encoding === undefined || encoding === "identity") this.#reply(received, this.#headers);
    else this.#decode(received, String(encoding).trim().toLowerCase());
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.fail(this.#controller === null ? "refused" : "broken", error);
  }

  #abort(reason: unknown): void {
    const controller = this.#controller;
    this.fail(controller === null ? "refused" : "broken", reason);
    controller?.abort(reason instanceof Error ? reason : new Error("aborted"));
  }

  #reply(received: Buffer, headers: Record<string, string | string[]>): void {
    if (this.settled) return;
    this.settled = true;
    const reply: AgentReply = { status: this.#status, headers, body: received.toString("utf8") };
    if (!isUtf8(received)) reply.bytes = received;
    this.#resolve({ kind: "reply", reply });
  }

  /** Some agents compress whatever they are asked for. */
  #decode(received: Buffer, encoding: string): void {
    const decode = decoders[encoding];
    if (decode === undefined) {
      this.fail("broken", new Error("a content encoding that was not asked for"));
      return;
    }
    const { "content-encoding": _encoding, "content-length": _length, ...headers } = this.#headers;
    decode(received, { maxOutputLength: this.#maxReplyBytes }).then(
      (decoded) => this.#reply(decoded, headers),
      (error: unknown) => this.fail("broken", error),
    );
  }
}

type Decode = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;
const decoders: Record<string, Decode | undefined> = {
  gzip: promisify(gunzip) as Decode,
  "x-gzip": promisify(gunzip) as Decode,
  deflate: promisify(inflate) as Decode,
  br: promisify(brotliDecompress) as Decode,
};

function isEventStream(headers: Record<string, string | string[]>): boolean {
  const type = String(headers["content-type"] ?? "").toLowerCase();
  // Compressed events would have to be decoded as they come; no agent does that unasked.
  return /^\s*text\/event-stream\s*(;|$)/.test(type) && headers["content-encoding"] === undefined;
}

function present(headers: Record<string, string | string[] | undefined>): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) kept[name] = value;
  return kept;
}
