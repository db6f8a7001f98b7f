/** What the JSON-RPC flows get from the server room and hand back to it. */

export interface RpcCall {
  /** The decoded body as text. */
  text: string;
  request: {
    method: string;
    /** Request target as received, path and query. */
    path: string;
    /** Node's view: names in lower case, repeated ones joined or listed. */
    headers: Record<string, string | string[] | undefined>;
  };
  /** Aborts when the client is gone. What was accepted goes on all the same. */
  signal: AbortSignal;
}

export interface JsonAnswer {
  kind: "json";
  status: number;
  headers: Record<string, string | string[]>;
  /** Bytes are sent as they are; text as UTF-8. */
  body: string | Uint8Array;
  /** It is an error of the call; only counted. */
  refused?: boolean;
}

/** One SSE event (`data` on one line), or a comment that keeps the connection alive. */
export type SseEvent = { id?: string; event?: string; data: string } | { comment: string };

/**
 * An SSE reply. The server iterates as fast as the client reads and calls `return()` when the client goes; an iterator
 * that waits must also end by the call's signal, because `return()` of an async generator queues behind its `next()`.
 */
export interface EventsAnswer {
  kind: "events";
  headers: Record<string, string>;
  events: AsyncIterable<SseEvent>;
}

export type Answer = JsonAnswer | EventsAnswer;

/** Answers a buffered JSON POST, or gives it back untouched (P10). */
export type HandleJsonRpc = (call: RpcCall) => Promise<"pass-through" | Answer>;
