/** The user's agent on loopback. One request = one HTTP exchange; nothing is retried here. */

export interface AgentRequest {
  method: "POST" | "GET";
  /** Request target, path and query. */
  path: string;
  /** End-to-end headers; the adapter adds framing and asks for `accept-encoding: identity`. */
  headers: Record<string, string | string[]>;
  body: string | null;
}

export interface AgentReply {
  status: number;
  headers: Record<string, string | string[]>;
  body: string;
  /** The body as received, where `body` (its reading as UTF-8) cannot give the same bytes back. */
  bytes?: Uint8Array;
}

/** How an exchange ended. `clean` = complete framing. `refused` = nobody listened: the request was not received. */
export type ExchangeEnd = "clean" | "broken" | "refused";

export type AgentExchange =
  | { kind: "reply"; reply: AgentReply }
  | { kind: "events"; status: number; headers: Record<string, string | string[]>; events: AgentEvents }
  | { kind: "failed"; end: "broken" | "refused"; cause: unknown };

/** An SSE response: each value is the `data` of one event. Pull-based: nothing more is read than is asked for (plus one buffer). */
export interface AgentEvents extends AsyncIterable<AgentEvent> {
  /** Known after iteration has finished; null when `close` ended it. */
  readonly end: ExchangeEnd | null;
  /** Stops reading. The agent's run goes on: only a cancel ends it (a2a §3.5.2). */
  close(): void;
}

export interface AgentEvent {
  /** The SSE `event:` field, "message" when absent. */
  name: string;
  data: string;
}

export interface Agent {
  /** Sends and reads the reply; an SSE reply comes back as events. Never rejects. */
  exchange(request: AgentRequest, options?: { signal?: AbortSignal }): Promise<AgentExchange>;
  close(): Promise<void>;
}
