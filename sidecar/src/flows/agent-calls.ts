/**
 * The calls the sidecar makes to its own agent on behalf of a turn: same path, same headers, the turn's dialect.
 * Replies come back as outcomes; what an agent may answer instead of what was asked differs per SDK and is sorted here.
 */
import { randomUUID } from "node:crypto";
import type { AgentEvent, AgentEvents, AgentExchange, AgentReply } from "../ports/agent.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { callEnvelope, parseReply } from "../protocol/jsonrpc.ts";
import type { Headers } from "../protocol/headers.ts";
import { methodName, type Operation } from "../protocol/methods.ts";
import { setMember } from "../protocol/raw-json.ts";
import { taskParams } from "../protocol/send-params.ts";
import { parseTask } from "../protocol/events.ts";
import type { FlowContext } from "./flow-context.ts";

/** On whose behalf a call is made. */
export interface CallOrigin {
  dialect: Dialect;
  tenant: string;
  /** Request target of the turn. */
  path: string;
  headers: Headers;
}

/** More messages than a task has. */
const WHOLE_HISTORY = 1_000_000;

/** HTTP answers that say that the agent does not accept the credentials of the call. */
export const CREDENTIALS_REFUSED: ReadonlySet<number> = new Set([401, 403]);
export const TASK_NOT_FOUND = -32001;
export const INVALID_REQUEST = -32600;
export const INVALID_PARAMS = -32602;
export const METHOD_NOT_FOUND = -32601;
export const UNSUPPORTED_OPERATION = -32004;

export type AgentTask =
  | { kind: "task"; task: string }
  /** JSON-RPC error object, raw. */
  | { kind: "error"; code: number; error: string; reply: AgentReply }
  /** Neither a Task nor a JSON-RPC error. */
  | { kind: "unusable"; reply: AgentReply | null }
  | { kind: "failed"; end: "broken" | "refused" };

export type AgentSubscription =
  | { kind: "open"; events: AgentEvents; first: AgentEvent | null; iterator: AsyncIterator<AgentEvent> }
  | { kind: "error"; code: number }
  | { kind: "closed" }
  | { kind: "failed"; end: "broken" | "refused" };

/** Sends one JSON-RPC call. `id` defaults to a fresh one. */
export function callAgent(
  context: FlowContext,
  origin: CallOrigin,
  call: { operation: Operation; params: string; id?: string; signal?: AbortSignal },
): Promise<AgentExchange> {
  const method = methodName(origin.dialect, call.operation);
  if (!method) throw new Error(`${call.operation} has no method in dialect ${origin.dialect}`);
  const body = callEnvelope(call.id ?? JSON.stringify(randomUUID()), method, call.params);
  const request = {
    method: "POST" as const,
    path: origin.path,
    headers: { ...origin.headers, "content-type": "application/json" },
    body,
  };
  return context.agent.exchange(request, call.signal ? { signal: call.signal } : {});
}

/** The agent's own Task with its whole history, by the agent's id. */
export async function getAgentTask(context: FlowContext, origin: CallOrigin, agentTaskId: string): Promise<AgentTask> {
  const ids = taskParams(origin.dialect, { tenant: origin.tenant, id: agentTaskId });
  // JS 0.3 leaves the history out unless it is asked for; in 1.0 leaving the member out means all of it.
  const params = origin.dialect === "0.3" ? setMember(ids, "historyLength", String(WHOLE_HISTORY)) : ids;
  return asTask(origin.dialect, await callAgent(context, origin, { operation: "get", params }));
}

/** Asks the agent to cancel; the Task it answers with is its state afterwards. */
export async function cancelAtAgent(context: FlowContext, origin: CallOrigin, agentTaskId: string): Promise<AgentTask> {
  const params = taskParams(origin.dialect, { tenant: origin.tenant, id: agentTaskId });
  return asTask(origin.dialect, await callAgent(context, origin, { operation: "cancel", params }));
}

/**
 * Subscribes at the agent and waits for the first event, at most `patienceMs`: 1.0 SDKs send the Task at once, Python
 * 0.3 sends nothing until something happens. Go and Python 0.3 put a refusal into the stream.
 */
export async function subscribeAtAgent(
  context: FlowContext,
  origin: CallOrigin,
  subscription: { agentTaskId: string; patienceMs: number },
): Promise<AgentSubscription> {
  const params = taskParams(origin.dialect, { tenant: origin.tenant, id: subscription.agentTaskId });
  const exchange = await callAgent(context, origin, { operation: "subscribe", params });
  if (exchange.kind === "failed") return { kind: "failed", end: exchange.end };
  if (exchange.kind === "reply") {
    const reply = parseReply(exchange.reply.body);
    return { kind: "error", code: reply.kind === "error" ? reply.code : METHOD_NOT_FOUND };
  }
  const { events } = exchange;
  const iterator = events[Symbol.asyncIterator]();
  const pending = iterator.next();
  const first = await firstWithin(context, pending, subscription.patienceMs);
  if (first === "late") return { kind: "open", events, first: null, iterator: resumeWith(pending, iterator) };
  if (first.done) return events.end === "clean" ? { kind: "closed" } : { kind: "failed", end: "broken" };
  const reply = parseReply(first.value.data);
  if (reply.kind !== "error") return { kind: "open", events, first: first.value, iterator };
  events.close();
  return { kind: "error", code: reply.code };
}

function asTask(dialect: Dialect, exchange: AgentExchange): AgentTask {
  if (exchange.kind === "failed") return { kind: "failed", end: exchange.end };
  if (exchange.kind === "events") {
    exchange.events.close();
    return { kind: "unusable", reply: null };
  }
  const reply = parseReply(exchange.reply.body);
  if (reply.kind === "error") return { kind: "error", code: reply.code, error: reply.error, reply: exchange.reply };
  if (reply.kind !== "result" || parseTask(dialect, reply.result).kind !== "task") {
    return { kind: "unusable", reply: exchange.reply };
  }
  return { kind: "task", task: reply.result };
}

async function firstWithin<T>(context: FlowContext, pending: Promise<T>, ms: number): Promise<T | "late"> {
  const timer = new AbortController();
  try {
    return await Promise.race([pending, context.clock.sleep(ms, timer.signal).then(() => "late" as const)]);
  } finally {
    timer.abort();
  }
}

/** An iterator whose first value has been asked for already. */
function resumeWith<T>(pending: Promise<IteratorResult<T>>, rest: AsyncIterator<T>): AsyncIterator<T> {
  let asked: Promise<IteratorResult<T>> | null = pending;
  return {
    next: () => {
      const value = asked ?? rest.next();
      asked = null;
      return value;
    },
  };
}
