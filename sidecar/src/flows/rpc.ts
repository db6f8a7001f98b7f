/** One recognised A2A call and the shapes its answers take. */
import type { TaskRow } from "../ports/task-store.ts";
import { StoreError } from "../ports/task-store.ts";
import { a2aError, taskNotFound, wrongDialectError } from "../protocol/a2a-errors.ts";
import type { Dialect } from "../protocol/dialect.ts";
import type { Headers } from "../protocol/headers.ts";
import { errorEnvelope, resultEnvelope } from "../protocol/jsonrpc.ts";
import type { Operation } from "../protocol/methods.ts";
import type { Answer, RpcCall, SseEvent } from "./answer.ts";
import type { Logger } from "./logger.ts";

export interface Rpc {
  dialect: Dialect;
  operation: Operation;
  method: string;
  /** Raw id token. */
  id: string;
  /** Raw params, absent when the call has none. */
  params: string | undefined;
  /** Identity that every lookup is scoped to (P9); one shared caller until access modes other than `None` exist. */
  caller: string;
  call: RpcCall;
}

const JSON_HEADERS: Headers = { "content-type": "application/json" };

export function resultAnswer(rpc: Rpc, result: string, headers: Headers = JSON_HEADERS): Answer {
  return { kind: "json", status: 200, headers: { ...headers, ...JSON_HEADERS }, body: resultEnvelope(rpc.id, result) };
}

/** A JSON-RPC error travels with status 200; a 0.3 streaming call gets it as its only SSE event, as JS 0.3 sends it. */
export function errorAnswer(rpc: Rpc, error: string): Answer {
  const body = errorEnvelope(rpc.id, error);
  const streams = rpc.operation === "stream" || rpc.operation === "subscribe";
  if (streams && rpc.dialect === "0.3")
    return { kind: "events", headers: {}, events: single({ event: "error", data: body }) };
  return { kind: "json", status: 200, headers: JSON_HEADERS, body, refused: true };
}

/** Why a call is told to come again. */
const UNAVAILABLE = {
  /** The record cannot be asked. */
  store: "The task store is not available. Send the request again later.",
  /** This instance is drained, and no other one lives. */
  "no-instance": "No instance is there to run the message. Send the request again later.",
  /** The process must end while the call still waits. */
  exiting: "This instance ends before the answer has come. Send the request again.",
  /** A crash of the store took the message. */
  lost: "The message was lost with the task store. Send the request again.",
} as const;

/** The same call may be sent again: nothing was accepted (P11), or an equal send joins what was (P7). */
export function unavailableAnswer(rpc: Rpc, why: keyof typeof UNAVAILABLE): Answer {
  const error = a2aError(rpc.dialect, "internal", UNAVAILABLE[why]);
  return {
    kind: "json",
    status: 503,
    headers: { ...JSON_HEADERS, "retry-after": "1" },
    body: errorEnvelope(rpc.id, error),
  };
}

export async function* single(event: SseEvent): AsyncGenerator<SseEvent> {
  yield event;
}

/** Calls back when the client goes, at once when it is gone already: an aborted signal tells its late listeners nothing. */
export function whenGone(signal: AbortSignal, then: () => void): void {
  if (signal.aborted) then();
  else signal.addEventListener("abort", then, { once: true });
}

/** Why this caller may not have this task in this call, as an answer; null when it may. */
export function refuseTask(rpc: Rpc, task: TaskRow, tenant: string): Answer | null {
  if (task.caller !== rpc.caller || task.tenant !== tenant)
    return errorAnswer(rpc, taskNotFound(rpc.dialect, task.taskId));
  if (task.dialect !== rpc.dialect) return errorAnswer(rpc, wrongDialectError(rpc.dialect));
  return null;
}

/** Turns a store that does not answer into the retryable error, and lets everything else through. */
export async function orUnavailable<T extends Answer | "pass-through">(
  rpc: Rpc,
  log: Logger,
  work: () => Promise<T>,
): Promise<T | Answer> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind === "rejected") throw error;
    log.warn({ method: rpc.method, reason: error.message }, "a call is told to come again: the store did not answer");
    return unavailableAnswer(rpc, "store");
  }
}
