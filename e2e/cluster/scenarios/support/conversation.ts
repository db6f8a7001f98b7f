// A client that a careful person would write: it streams, comes back after a lost connection with Last-Event-ID, repeats a
// send that was not answered under the same messageId, and keeps account of every generation it sees.

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { NoStreamError, type SseEvent, streamEvents } from "../../../support/sse-client.ts";

/** Where an agent is called: the JSON-RPC URL. */
export type Endpoint = string;

/** What became of one streamed message. */
export interface Outcome {
  readonly messageId: string;
  readonly taskId: string | undefined;
  /** Last state seen, in the spelling of A2A 1.0. */
  readonly state: string | undefined;
  /** Text of the artifacts, folded as events say. */
  readonly text: string;
  readonly generations: readonly number[];
  /** Connections it took. */
  readonly connections: number;
  /** Everything that breaks a promise: a gap, a repeat, an error in answer. Empty when all is well. */
  readonly problems: readonly string[];
}

const headers = { "A2A-Version": "1.0", connection: "close" } as const;
const terminalStates = new Set([
  "TASK_STATE_COMPLETED",
  "TASK_STATE_FAILED",
  "TASK_STATE_CANCELED",
  "TASK_STATE_REJECTED",
]);
const deadlineMs = 90_000;
/** How long the client stays away after a lost connection. */
const pauseMs = 100;

interface Artifact {
  readonly artifactId: string;
  readonly parts?: readonly { readonly text?: string }[];
}

interface StreamResult {
  readonly task?: {
    readonly id: string;
    readonly status?: { readonly state: string };
    readonly artifacts?: readonly Artifact[];
  };
  readonly statusUpdate?: { readonly taskId: string; readonly status: { readonly state: string } };
  readonly artifactUpdate?: { readonly taskId: string; readonly artifact: Artifact; readonly append?: boolean };
}

/** JSON text of a JSON-RPC call. */
export function callBody(method: string, params: object): string {
  return JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
}

function userMessage(text: string, messageId: string): object {
  return { message: { messageId, role: "ROLE_USER", parts: [{ text }] } };
}

function textOf(artifact: Artifact): string {
  return (artifact.parts ?? []).map((part) => part.text ?? "").join("");
}

/** State of one conversation; events go in, the outcome comes out. */
class Conversation {
  readonly messageId = randomUUID();
  readonly problems: string[] = [];
  readonly generations: number[] = [];
  readonly #artifacts = new Map<string, string>();
  taskId: string | undefined;
  state: string | undefined;
  connections = 0;

  get isOver(): boolean {
    return (this.state !== undefined && terminalStates.has(this.state)) || this.problems.length > 0;
  }

  take(event: SseEvent): void {
    const message = JSON.parse(event.data) as { readonly result?: StreamResult; readonly error?: unknown };
    if (message.result === undefined) {
      this.problems.push(`error in the stream: ${event.data.slice(0, 300)}`);
      return;
    }
    this.#count(event.id);
    this.#fold(message.result);
  }

  #count(id: string | null): void {
    const generation = Number(id);
    const expected = (this.generations.at(-1) ?? 0) + 1;
    if (id === null || generation !== expected) this.problems.push(`generation ${id} came where ${expected} was due`);
    this.generations.push(generation);
  }

  #fold(result: StreamResult): void {
    const { task, statusUpdate, artifactUpdate } = result;
    const taskId = task?.id ?? statusUpdate?.taskId ?? artifactUpdate?.taskId;
    if (this.taskId !== undefined && taskId !== this.taskId) {
      this.problems.push(`task ${taskId} came in the stream of ${this.taskId}`);
    }
    this.taskId ??= taskId;
    this.state = task?.status?.state ?? statusUpdate?.status.state ?? this.state;
    for (const artifact of task?.artifacts ?? []) this.#artifacts.set(artifact.artifactId, textOf(artifact));
    if (artifactUpdate !== undefined) {
      const { artifactId } = artifactUpdate.artifact;
      const before = artifactUpdate.append === true ? (this.#artifacts.get(artifactId) ?? "") : "";
      this.#artifacts.set(artifactId, before + textOf(artifactUpdate.artifact));
    }
  }

  outcome(): Outcome {
    const { messageId, taskId, state, generations, connections, problems } = this;
    const text = [...this.#artifacts.values()].join("");
    return { messageId, taskId, state, text, generations, connections, problems };
  }
}

/** Reads one connection to its end. Losing it is no problem; an answer that is an error is one, unless it says "later". */
async function readConnection(endpoint: Endpoint, text: string, conversation: Conversation): Promise<void> {
  const { taskId, messageId } = conversation;
  const body =
    taskId === undefined
      ? callBody("SendStreamingMessage", userMessage(text, messageId))
      : callBody("SubscribeToTask", { id: taskId });
  const lastEventId = taskId === undefined ? undefined : String(conversation.generations.at(-1));
  const call = { url: endpoint, body, headers, signal: AbortSignal.timeout(deadlineMs) };
  try {
    const events = streamEvents({ ...call, ...(lastEventId === undefined ? {} : { lastEventId }) });
    for await (const event of events) {
      conversation.take(event);
      if (conversation.isOver) return;
    }
  } catch (error) {
    if (!(error instanceof NoStreamError)) return;
    if (error.status !== 503) conversation.problems.push(error.message);
  }
}

/** Streams one message through to the task's end, over as many connections as it takes. */
export async function converse(endpoint: Endpoint, text: string): Promise<Outcome> {
  const conversation = new Conversation();
  const deadline = Date.now() + deadlineMs;
  while (!conversation.isOver) {
    if (Date.now() > deadline) {
      conversation.problems.push(`not ended after ${deadlineMs / 1000} s, last state ${conversation.state}`);
      break;
    }
    if (conversation.connections > 0) await delay(pauseMs);
    conversation.connections += 1;
    await readConnection(endpoint, text, conversation);
  }
  return conversation.outcome();
}

/** The answer to one call: its result, or what went wrong. */
export type Answer<Result> =
  | { readonly kind: "result"; readonly result: Result }
  | { readonly kind: "failed"; readonly why: string };

/** One JSON-RPC call over a connection of its own, never repeated. */
export async function call<Result>(endpoint: Endpoint, method: string, params: object): Promise<Answer<Result>> {
  try {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: callBody(method, params),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (response.status !== 200) return { kind: "failed", why: `HTTP ${response.status} ${text.slice(0, 200)}` };
    const message = JSON.parse(text) as { readonly result?: Result };
    if (message.result === undefined) return { kind: "failed", why: text.slice(0, 300) };
    return { kind: "result", result: message.result };
  } catch (error) {
    // The reason of a failed fetch is in its cause.
    const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : "";
    return { kind: "failed", why: `${String(error)}${cause}` };
  }
}

/** Sends one message and waits for its answer, once. */
export async function send<Result>(endpoint: Endpoint, text: string): Promise<Answer<Result>> {
  return await call<Result>(endpoint, "SendMessage", userMessage(text, randomUUID()));
}
