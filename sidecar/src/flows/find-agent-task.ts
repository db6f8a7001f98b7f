/**
 * Finds the Task that the agent made of a message whose reply was lost, by the message's id in the agent's own ListTasks.
 * Only 1.0 agents can be asked so; elsewhere, and where it is not found, the run counts as lost.
 */
import { parseTask, type TaskEventView } from "../protocol/events.ts";
import { parseReply } from "../protocol/jsonrpc.ts";
import { elements, isArray, member, oneLine, quote, text } from "../protocol/raw-json.ts";
import { callAgent } from "./agent-calls.ts";
import type { FlowContext } from "./flow-context.ts";
import type { OpenSend } from "./open-turn.ts";

/** Newest first, and the run is recent: the first page holds it or nobody does. */
const PAGE_SIZE = 100;

export async function findAgentTask(context: FlowContext, turn: OpenSend): Promise<TaskEventView | null> {
  if (turn.row.dialect !== "1.0") return null;
  const { tenant, contextId, messageId } = turn.send;
  const scope = `${tenant === "" ? "" : `"tenant":${quote(tenant)},`}${contextId === null ? "" : `"contextId":${quote(contextId)},`}`;
  const params = `{${scope}"pageSize":${PAGE_SIZE},"includeArtifacts":true}`;
  const exchange = await callAgent(context, turn.origin, { operation: "list", params });
  if (exchange.kind === "events") exchange.events.close();
  if (exchange.kind !== "reply") return null;
  const reply = parseReply(exchange.reply.body);
  const tasks = reply.kind === "result" ? member(oneLine(reply.result), "tasks") : undefined;
  if (!isArray(tasks)) return null;
  const found = elements(tasks).find((task) => historyHolds(task, messageId));
  const event = found === undefined ? null : parseTask(turn.row.dialect, found);
  return event?.kind === "task" ? event : null;
}

/** Whether the history of a raw Task has the message. */
export function historyHolds(task: string, messageId: string): boolean {
  const history = member(task, "history");
  return isArray(history) && elements(history).some((message) => text(member(message, "messageId")) === messageId);
}
