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

/** `mayBeUnrecorded`: not every pod behind the endpoint has a sidecar, so events may come without generations. */
type Beginning = { readonly text: string; readonly mayBeUnrecorded?: boolean } | { readonly taskId: string };

/** State of one conversation; events go in, the outcome comes out. */
class Conversation {
  readonly messageId = randomUUID();
  readonly text: string | undefined;
  readonly problems: string[] = [];
  readonly generations: number[] = [];
  readonly #artifacts = new Map<string, string>();
  readonly #mayBeUnrecorded: boolean;
  taskId: string | undefined;
  state: string | undefined;
  connections = 0;

  /** Either a text to send, or the id of a task that somebody else has started. */
  constructor(about: Beginning) {
    this.#mayBeUnrecorded = "mayBeUnrecorded" in about && about.mayBeUnrecorded === true;
    this.text = "text" in about ? about.text : undefined;
    this.taskId = "taskId" in about ? about.taskId : undefined;
  }

  get isOver(): boolean {
    const isEnded = this.state !== undefined && terminalStates.has(this.state);
    return isEnded || this.problems.length > 0;
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

  /** What nobody records cannot be resumed: the client of an agent alone has one connection, and loses with it. */
  noteLostConnection(): void {
    if (this.#mayBeUnrecorded && this.generations.length === 0 && !this.isOver) {
      this.problems.push(`cut before it was recorded, last state ${this.state}`);
    }
  }

  /** The answer was an error and no stream. */
  takeRefusal({ status, message }: NoStreamError): void {
    if (status !== 503) this.problems.push(message);
  }

  #count(id: string | null): void {
    if (id === null && this.#mayBeUnrecorded && this.generations.length === 0) return;
    const generation = Number(id);
    // Who joins a running task begins with a Task of any generation.
    const before = this.generations.at(-1) ?? (this.text === undefined ? generation - 1 : 0);
    const expected = before + 1;
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

/** The call that the next connection makes. */
function nextCall(conversation: Conversation): { readonly body: string; readonly lastEventId?: string } {
  const { taskId, messageId, text } = conversation;
  if (taskId === undefined) return { body: callBody("SendStreamingMessage", userMessage(text ?? "", messageId)) };
  const last = conversation.generations.at(-1);
  const body = callBody("SubscribeToTask", { id: taskId });
  return last === undefined ? { body } : { body, lastEventId: String(last) };
}

/** Reads one connection to its end. Losing it is no problem; an answer that is an error is one, unless it says "later". */
async function readConnection(endpoint: Endpoint, conversation: Conversation): Promise<void> {
  const call = { ...nextCall(conversation), url: endpoint, headers, signal: AbortSignal.timeout(deadlineMs) };
  try {
    for await (const event of streamEvents(call)) {
      conversation.take(event);
      if (conversation.isOver) return;
    }
  } catch (error) {
    if (!(error instanceof NoStreamError)) return;
    conversation.takeRefusal(error);
  }
}

async function finish(conversation: Conversation, endpoints: readonly Endpoint[]): Promise<Outcome> {
  const deadline = Date.now() + deadlineMs;
  while (!conversation.isOver) {
    if (Date.now() > deadline) {
      conversation.problems.push(`not ended after ${deadlineMs / 1000} s, last state ${conversation.state}`);
      break;
    }
    if (conversation.connections > 0) await delay(pauseMs);
    const endpoint = endpoints[Math.min(conversation.connections, endpoints.length - 1)];
    if (endpoint === undefined) throw new Error("a conversation needs an endpoint");
    conversation.connections += 1;
    await readConnection(endpoint, conversation);
    conversation.noteLostConnection();
  }
  return conversation.outcome();
}

/**
 * Streams one message through to the task's end, over as many connections as it takes: the first to the first endpoint,
 * the second to the second, and so on; the last one for all others.
 */
export async function converse(text: string, ...endpoints: readonly Endpoint[]): Promise<Outcome> {
  return await finish(new Conversation({ text }), endpoints);
}

/**
 * Streams one message through an endpoint behind which some pods have a sidecar and some have none. A stream that an
 * agent alone answers has to last; so has any other one that would come back to such a pod, which knows nothing of it.
 */
export async function converseWithMixedPods(text: string, endpoint: Endpoint): Promise<Outcome> {
  return await finish(new Conversation({ text, mayBeUnrecorded: true }), [endpoint]);
}

/** Follows a task that somebody else has started, to its end. */
export async function follow(taskId: string, ...endpoints: readonly Endpoint[]): Promise<Outcome> {
  return await finish(new Conversation({ taskId }), endpoints);
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
export async function send<Result>(
  endpoint: Endpoint,
  text: string,
  messageId: string = randomUUID(),
): Promise<Answer<Result>> {
  return await call<Result>(endpoint, "SendMessage", userMessage(text, messageId));
}
