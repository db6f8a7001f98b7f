/** A call that only the task's own agent can answer (push configurations), made here for whichever instance got it. */
import { identityMap, idMap, pushToPublic, toAgent } from "../domain/id-map.ts";
import type { TurnReply } from "../ports/task-store.ts";
import { forwardResponseHeaders } from "../protocol/headers.ts";
import { parseReply } from "../protocol/jsonrpc.ts";
import { oneLine } from "../protocol/raw-json.ts";
import { callAgent } from "./agent-calls.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import { agentError, endWithoutTask, flatHeaders, unreachable } from "./end-turn.ts";
import type { OpenTurn } from "./open-turn.ts";

export async function runForwardedCall(context: FlowContext, turn: OpenTurn): Promise<void> {
  await endWithoutTask(context, turn, await askAgent(context, turn));
}

async function askAgent(context: FlowContext, turn: OpenTurn): Promise<TurnReply> {
  const { row, operation } = turn;
  const task = row.taskId === null ? null : await retryStore(context, () => context.store.readTask(row.taskId ?? ""));
  const ids = task ? idMap(task) : identityMap;
  const params = toAgent(row.dialect, operation, turn.params, ids);
  const exchange = await callAgent(context, turn.origin, { operation, params, id: turn.id });
  if (exchange.kind === "events") exchange.events.close();
  if (exchange.kind !== "reply") return unreachable(turn);
  const parsed = parseReply(exchange.reply.body);
  // A Go agent answers a delete with neither result nor error.
  const result = parsed.kind === "result" ? oneLine(parsed.result) : parsed.kind === "empty" ? "null" : null;
  if (result === null) return agentError(exchange.reply);
  const headers = flatHeaders(forwardResponseHeaders(exchange.reply.headers, { bodyChanged: true }));
  return { kind: "result", payload: pushToPublic(row.dialect, result, ids), headers };
}
