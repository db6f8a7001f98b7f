/**
 * A new message at the local agent. A streaming send goes up as a stream, a unary send as it is: so the answer equals
 * the direct one whatever the executor's style (a JS 1.3 executor that publishes Task then Message breaks when streamed).
 */
import { ATTEMPT_METADATA_KEY } from "@durable-agent/crds/contract";
import type { AgentEvents, AgentReply } from "../ports/agent.ts";
import type { TurnReply } from "../ports/task-store.ts";
import { forwardResponseHeaders } from "../protocol/headers.ts";
import { type A2aEvent, parseEvent, parseSendResult, parseTask } from "../protocol/events.ts";
import { parseReply } from "../protocol/jsonrpc.ts";
import { oneLine } from "../protocol/raw-json.ts";
import { setRequestMetadata, stripHistoryLength } from "../protocol/send-params.ts";
import { callAgent, getAgentTask } from "./agent-calls.ts";
import { checkPayload } from "./check-payload.ts";
import { createTask, type TaskBearingEvent } from "./create-task.ts";
import { closeRun, followRun, type RunEnd } from "./follow-run.ts";
import type { FlowContext } from "./flow-context.ts";
import { recordSource } from "./record-source.ts";
import { settleRun } from "./settle-run.ts";
import { agentError, endWithoutTask, flatHeaders, ownError } from "./end-turn.ts";
import type { OpenSend } from "./open-turn.ts";
import type { TaskRecorder } from "./task-recorder.ts";
import { a2aError } from "../protocol/a2a-errors.ts";

/**
 * How giving the message to the agent ended before anything was recorded: `refused` = it did not get the message,
 * `broken` = it may have started on it. `over` = it is recorded, or answered, or not ours any more.
 */
export type MessageEnd = "over" | "refused" | "broken";

export async function runNewMessage(context: FlowContext, turn: OpenSend): Promise<MessageEnd> {
  const operation = turn.operation === "stream" ? "stream" : "send";
  const exchange = await callAgent(context, turn.origin, { operation, params: messageParams(turn), id: turn.id });
  if (exchange.kind === "failed") return exchange.end;
  if (exchange.kind === "events") return recordStream(context, turn, exchange.events, exchange.headers);
  await recordReply(context, turn, exchange.reply);
  return "over";
}

/** The journaled message; a further attempt says that it is one. */
function messageParams(turn: OpenSend): string {
  const params = stripHistoryLength(turn.row.dialect, turn.params);
  return turn.row.attempt > 1 ? setRequestMetadata(params, ATTEMPT_METADATA_KEY, String(turn.row.attempt)) : params;
}

async function recordReply(context: FlowContext, turn: OpenSend, reply: AgentReply): Promise<void> {
  const parsed = parseReply(reply.body);
  if (parsed.kind !== "result") return endWithoutTask(context, turn, agentError(reply));
  const event = parseSendResult(turn.row.dialect, oneLine(parsed.result));
  if (event.kind === "task") {
    const recorder = await bindTask(context, turn, event);
    if (recorder && !recorder.resting)
      await withRecorder(context, turn, recorder, () => followRun(context, recorder, turn));
    return;
  }
  const headers = flatHeaders(forwardResponseHeaders(reply.headers, { bodyChanged: true }));
  if (event.kind === "message") return recordMessage(context, turn, event, headers);
  return endWithoutTask(context, turn, agentError(reply));
}

/** A bare Message. One that names a task brings that Task into the record first, so that it can be asked for (P1). */
async function recordMessage(
  context: FlowContext,
  turn: OpenSend,
  event: Extract<A2aEvent, { kind: "message" }>,
  headers: Record<string, string>,
): Promise<void> {
  const reply: TurnReply = { kind: "message", payload: event.payload, headers };
  const task = event.taskId === null ? null : await getAgentTask(context, turn.origin, event.taskId);
  const named = task?.kind === "task" ? parseTask(turn.row.dialect, oneLine(task.task)) : null;
  if (named?.kind !== "task") return endWithoutTask(context, turn, reply);
  const recorder = await bindTask(context, turn, named, { reply });
  if (recorder && !recorder.resting)
    await withRecorder(context, turn, recorder, () => followRun(context, recorder, turn));
}

async function recordStream(
  context: FlowContext,
  turn: OpenSend,
  events: AgentEvents,
  headers: Record<string, string | string[]>,
): Promise<MessageEnd> {
  const iterator = events[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done && events.end !== "clean") return "broken";
  if (first.done) {
    // It has run to its end (Python 0.3 does that when an executor throws): to run it again would repeat that.
    await endWithoutTask(context, turn, invalidAgentResponse(turn, "The agent's stream ended without an event."));
    return "over";
  }
  const parsed = parseReply(first.value.data);
  if (parsed.kind !== "result") {
    events.close();
    const reply = { status: 200, headers: { "content-type": "application/json" }, body: first.value.data };
    await endWithoutTask(context, turn, agentError(reply));
    return "over";
  }
  const event = parseEvent(turn.row.dialect, oneLine(parsed.result));
  if (event.kind === "message") {
    events.close();
    const kept = flatHeaders(forwardResponseHeaders(headers, { bodyChanged: true }));
    await recordMessage(context, turn, event, kept);
    return "over";
  }
  if (event.kind === "other") {
    events.close();
    await endWithoutTask(
      context,
      turn,
      invalidAgentResponse(turn, "The first event of the agent's stream names no task."),
    );
    return "over";
  }
  const recorder = await bindTask(context, turn, event);
  if (!recorder) {
    events.close();
    return "over";
  }
  await withRecorder(context, turn, recorder, async () => {
    const end = await recordSource(context, recorder, { events, iterator, first: null, kind: "turn" });
    return closeRun(context, recorder, turn, end);
  });
  return "over";
}

/** Creates the Task; null when there is nothing to go on with. */
async function bindTask(
  context: FlowContext,
  turn: OpenSend,
  event: TaskBearingEvent,
  end?: { reply: TurnReply | null },
): Promise<TaskRecorder | null> {
  const problem = checkPayload(event.payload, context.settings.maxEventChars);
  if (problem) {
    await endWithoutTask(
      context,
      turn,
      invalidAgentResponse(turn, `The agent's reply cannot be recorded: ${problem}.`),
    );
    return null;
  }
  const recorder = await createTask(context, turn, event, end ? { end } : {});
  if (recorder && !recorder.resting) context.recorders.add(recorder);
  return recorder;
}

async function withRecorder(
  context: FlowContext,
  turn: OpenSend,
  recorder: TaskRecorder,
  follow: () => Promise<RunEnd>,
): Promise<void> {
  recorder.hold();
  try {
    await settleRun(context, turn, recorder, await follow());
    await recorder.settled();
  } finally {
    recorder.letGo();
  }
}

function invalidAgentResponse(turn: OpenSend, message: string): TurnReply {
  return ownError(turn, a2aError(turn.row.dialect, "invalid-agent-response", message));
}
