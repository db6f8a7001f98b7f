/**
 * A client that shows everything it gets: status, headers, bytes, event ids. Scenarios that compare an answer with the
 * agent's own need that; the SDKs' clients hide it.
 */
import { randomUUID } from "node:crypto";
import { sliceMember } from "../../agents/raw/raw-json.ts";
import type { SseEvent } from "../../support/sse-client.ts";
import { NoStreamError, streamEvents } from "../../support/sse-client.ts";
import type { Operation, Subject } from "./subject.ts";
import { methodOf } from "./subject.ts";

/** A Task, Message or event, as loosely typed as a test wants it. */
// biome-ignore lint/suspicious/noExplicitAny: tests reach into replies of any shape
export type Json = any;

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  /** The parsed text; null where it is no JSON. */
  body: Json;
}

export interface ReceivedEvent {
  /** The generation, where a sidecar sent it. */
  id: string | null;
  /** "message" unless the stream named it. */
  name: string;
  /** The whole JSON-RPC response. */
  body: Json;
  /** The bytes of its `result`; null for an error. */
  rawResult: string | null;
}

export interface SendOptions {
  taskId?: string;
  contextId?: string;
  messageId?: string;
  /** Whether the call waits; left out where undefined. */
  blocking?: boolean;
  historyLength?: number;
  /** More members of the configuration. */
  configuration?: Record<string, unknown>;
}

export interface CallOptions {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface StreamOptions extends CallOptions {
  lastEventId?: string;
}

export class RpcClient {
  readonly subject: Subject;
  readonly url: string;

  constructor(baseUrl: string, subject: Subject) {
    this.subject = subject;
    this.url = baseUrl + subject.path;
  }

  /** Params of a message in the subject's dialect. */
  message(text: string, options: SendOptions = {}): object {
    const { taskId, contextId, blocking, historyLength } = options;
    const old = this.subject.dialect === "0.3";
    const wait = blocking === undefined ? {} : old ? { blocking } : { returnImmediately: !blocking };
    const configuration = { ...wait, ...(historyLength !== undefined && { historyLength }), ...options.configuration };
    return {
      message: {
        ...(old && { kind: "message" }),
        messageId: options.messageId ?? randomUUID(),
        role: old ? "user" : "ROLE_USER",
        parts: [old ? { kind: "text", text } : { text }],
        ...(taskId !== undefined && { taskId }),
        ...(contextId !== undefined && { contextId }),
      },
      ...(Object.keys(configuration).length > 0 && { configuration }),
    };
  }

  /** Posts one call and takes whatever comes back. */
  async call(operation: Operation, params: unknown, options: CallOptions = {}): Promise<Reply> {
    return this.post(JSON.stringify(this.#envelope(operation, params)), options);
  }

  async post(body: string | Uint8Array<ArrayBuffer>, { headers, signal }: CallOptions = {}): Promise<Reply> {
    const response = await fetch(this.url, {
      method: "POST",
      headers: { "content-type": "application/json", ...this.#version(), ...headers },
      body,
      ...(signal && { signal }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: parse(text) };
  }

  send(text: string, options: SendOptions = {}): Promise<Reply> {
    return this.call("send", this.message(text, options));
  }

  get(id: string, historyLength?: number): Promise<Reply> {
    return this.call("get", { id, ...(historyLength !== undefined && { historyLength }) });
  }

  cancel(id: string): Promise<Reply> {
    return this.call("cancel", { id });
  }

  stream(text: string, options: SendOptions & StreamOptions = {}): AsyncGenerator<ReceivedEvent, void, undefined> {
    return this.events("stream", this.message(text, options), options);
  }

  subscribe(id: string, options: StreamOptions = {}): AsyncGenerator<ReceivedEvent, void, undefined> {
    return this.events("subscribe", { id }, options);
  }

  /** Throws {@link NoStreamError} where the answer is no stream. */
  async *events(
    operation: Operation,
    params: unknown,
    options: StreamOptions = {},
  ): AsyncGenerator<ReceivedEvent, void, undefined> {
    const body = JSON.stringify(this.#envelope(operation, params));
    const { lastEventId, signal } = options;
    const call = {
      url: this.url,
      body,
      headers: { ...this.#version(), ...options.headers },
      ...(lastEventId !== undefined && { lastEventId }),
      ...(signal && { signal }),
    };
    for await (const event of streamEvents(call)) yield received(event);
  }

  #envelope(operation: Operation, params: unknown): object {
    return { jsonrpc: "2.0", id: 1, method: methodOf(this.subject, operation), params };
  }

  #version(): Record<string, string> {
    return this.subject.dialect === "1.0" ? { "a2a-version": "1.0" } : {};
  }
}

/** What a streaming call brought: its events, or the reply that came instead. */
export async function collect(
  events: AsyncGenerator<ReceivedEvent, void, undefined>,
): Promise<{ kind: "events"; events: ReceivedEvent[] } | { kind: "reply"; status: number; body: Json }> {
  const seen: ReceivedEvent[] = [];
  try {
    for await (const event of events) seen.push(event);
  } catch (error) {
    if (!(error instanceof NoStreamError)) throw error;
    return { kind: "reply", status: error.status, body: parse(error.body) };
  }
  return { kind: "events", events: seen };
}

/** All events of a stream; throws where something else came. */
export async function gather(events: AsyncGenerator<ReceivedEvent, void, undefined>): Promise<ReceivedEvent[]> {
  const seen: ReceivedEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

/** The Task, Message or event in a result of either dialect, without its wrapper. */
export function content(result: Json): Json {
  return result?.task ?? result?.message ?? result?.statusUpdate ?? result?.artifactUpdate ?? result;
}

/** The task's id in a result or event of either dialect; "" where there is none. */
export function taskIdOf(result: Json): string {
  const value = content(result);
  return value?.status !== undefined && value?.id !== undefined ? value.id : (value?.taskId ?? "");
}

/** The context's id in a result or event of either dialect. */
export function contextIdOf(result: Json): string {
  return content(result)?.contextId ?? "";
}

/** The state in a result or event in the spelling of 0.3; null where there is none. */
export function stateOf(result: Json): string | null {
  const state = content(result)?.status?.state;
  return typeof state === "string" ? state.replace("TASK_STATE_", "").toLowerCase().replace("_", "-") : null;
}

/** One word for an event: "task submitted", "status working", "artifact", "message", "error -32001". */
export function summary(event: ReceivedEvent): string {
  if (event.body?.error !== undefined) return `error ${event.body.error.code}`;
  const result = event.body?.result;
  if (result?.task !== undefined || result?.kind === "task") return `task ${stateOf(result)}`;
  if (result?.statusUpdate !== undefined || result?.kind === "status-update") return `status ${stateOf(result)}`;
  return result?.artifactUpdate !== undefined || result?.kind === "artifact-update" ? "artifact" : "message";
}

function received(event: SseEvent): ReceivedEvent {
  return { id: event.id, name: event.name, body: parse(event.data), rawResult: sliceMember(event.data, ["result"]) };
}

function parse(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
