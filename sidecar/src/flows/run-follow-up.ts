/**
 * A message to a task this instance owns. A native 0.3 agent gets it as a stream. Any other agent gets a subscription
 * first, which is what is recorded, and then the message as a unary send: streaming a follow-up to a JS 1.3 agent
 * answers with an error while the executor runs on unheard.
 */
import { ATTEMPT_METADATA_KEY } from "@durable-agent/crds/contract";
import { toAgent } from "../domain/id-map.ts";
import { isTerminal } from "../domain/task-state.ts";
import type { AgentExchange, AgentReply } from "../ports/agent.ts";
import type { TurnReply } from "../ports/task-store.ts";
import { terminalSendError } from "../protocol/a2a-errors.ts";
import { type A2aEvent, parseSendResult, parseTask } from "../protocol/events.ts";
import { forwardResponseHeaders } from "../protocol/headers.ts";
import { parseReply } from "../protocol/jsonrpc.ts";
import { oneLine } from "../protocol/raw-json.ts";
import { setMessageIds, setRequestMetadata, stripHistoryLength } from "../protocol/send-params.ts";
import { type AgentSubscription, callAgent, getAgentTask, subscribeAtAgent, TASK_NOT_FOUND } from "./agent-calls.ts";
import { closeRun, followRun, type RunEnd } from "./follow-run.ts";
import type { FlowContext } from "./flow-context.ts";
import { recordSource, type SourceEnd } from "./record-source.ts";
import { retryStore } from "./retry-store.ts";
import { settleRun } from "./settle-run.ts";
import { runAttempt } from "./run-attempt.ts";
import { agentError, endWithoutTask, flatHeaders, ownError, unreachable } from "./end-turn.ts";
import type { OpenSend } from "./open-turn.ts";
import { TaskRecorder } from "./task-recorder.ts";

const SUBSCRIBE_PATIENCE_MS = 1_000;
/** A reply that comes before its events waits this long for them: they are on their way on another connection. */
const SOURCE_GRACE_MS = 50;

interface FollowUp {
  context: FlowContext;
  turn: OpenSend;
  recorder: TaskRecorder;
  /** Params in the agent's ids. */
  params: string;
}

export async function runFollowUp(context: FlowContext, turn: OpenSend): Promise<void> {
  const recorder = await openRecorder(context, turn);
  if (!recorder) return;
  const follow: FollowUp = { context, turn, recorder, params: agentParams(turn, recorder) };
  recorder.hold();
  try {
    if (turn.row.aside && recorder.turn && !recorder.turn.ended) return await forwardAside(follow);
    recorder.beginTurn({
      id: turn.row.id,
      hidden: `[${turn.send.message}]`,
      firstGeneration: null,
      ended: false,
      origin: turn.origin,
    });
    // The task came from an instance that is gone: the agent here gets the message as the first of this context.
    const end = recorder.agentTaskId === "" ? await runAttempt(context, turn, recorder, null) : await runOnTask(follow);
    await settleRun(context, turn, recorder, end);
    await recorder.settled();
  } finally {
    recorder.letGo();
  }
}

async function runOnTask(follow: FollowUp): Promise<RunEnd> {
  const traits = await follow.context.profile.traits();
  const native = follow.turn.row.dialect === "0.3" && traits.native03;
  return native && traits.streaming !== false ? runStreamed(follow) : runSubscribed(follow);
}

async function openRecorder(context: FlowContext, turn: OpenSend): Promise<TaskRecorder | null> {
  const { row } = turn;
  const taskId = row.taskId ?? "";
  context.recorders.dropOlder(taskId, row.epoch);
  const held = context.recorders.get(taskId);
  if (held?.epoch === row.epoch) return held;
  const view = await retryStore(context, () => context.store.readView(taskId));
  if (!view || view.task.owner !== context.settings.instanceId || view.task.epoch !== row.epoch) {
    context.board.handOff(row.id);
    return null;
  }
  if (isTerminal(view.task.state)) {
    await endWithoutTask(context, turn, ownError(turn, terminalSendError(row.dialect, taskId, view.task.state)));
    return null;
  }
  return context.recorders.obtain(taskId, async () => TaskRecorder.fromView(context, view));
}

/** The message as the agent must get it: its own ids, the known context added (a missing one breaks Python 0.3 agents). */
function agentParams(turn: OpenSend, recorder: TaskRecorder): string {
  const params = stripHistoryLength(turn.row.dialect, turn.params);
  const withContext = turn.send.contextId === null ? setMessageIds(params, { contextId: recorder.contextId }) : params;
  const numbered =
    turn.row.attempt > 1
      ? setRequestMetadata(withContext, ATTEMPT_METADATA_KEY, String(turn.row.attempt))
      : withContext;
  return toAgent(turn.row.dialect, "send", numbered, recorder.ids);
}

async function runStreamed(follow: FollowUp): Promise<RunEnd> {
  const { context, turn, recorder, params } = follow;
  const exchange = await callAgent(context, turn.origin, { operation: "stream", params, id: turn.id });
  if (exchange.kind === "failed") return exchange.end === "refused" ? "refused" : "died";
  if (exchange.kind === "reply") return runRefusedStream(follow, exchange.reply);
  const iterator = exchange.events[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done)
    return closeRun(context, recorder, turn, { kind: exchange.events.end === "clean" ? "clean" : "broken" });
  const parsed = parseReply(first.value.data);
  if (parsed.kind === "error") {
    exchange.events.close();
    return refuse(
      follow,
      agentError({ status: 200, headers: { "content-type": "application/json" }, body: first.value.data }),
    );
  }
  const source = { events: exchange.events, iterator, first: first.value, kind: "turn" } as const;
  const end = await recordSource(context, recorder, source, { stopsAtMessage: true });
  if (end.kind !== "message") return closeRun(context, recorder, turn, end);
  return endWithMessage(
    follow,
    end.event,
    flatHeaders(forwardResponseHeaders(exchange.headers, { bodyChanged: true })),
  );
}

/** An agent that does not stream says so at once: the message goes as a unary send then. Other refusals are passed on. */
async function runRefusedStream(follow: FollowUp, reply: AgentReply): Promise<RunEnd> {
  const parsed = parseReply(reply.body);
  const notStreaming = parsed.kind === "error" && (parsed.code === -32004 || parsed.code === -32601);
  if (notStreaming) return runSubscribed(follow, { streams: false });
  return recordUnary(follow, { kind: "reply", reply }, null);
}

/**
 * A subscription as the recorder, then the message as a unary send. An agent that knows no subscription while nothing
 * runs (Go) has none to offer, but its reply stream to a follow-up is whole: a streaming call goes up as it is.
 */
async function runSubscribed(follow: FollowUp, agent: { streams: boolean } = { streams: true }): Promise<RunEnd> {
  const { context, turn, recorder, params } = follow;
  const subscription = await subscribeAtAgent(context, turn.origin, {
    agentTaskId: recorder.agentTaskId,
    patienceMs: SUBSCRIBE_PATIENCE_MS,
  });
  const idle = subscription.kind === "error" && subscription.code === TASK_NOT_FOUND;
  if (idle && agent.streams && turn.operation === "stream") return runStreamed(follow);
  const source = subscription.kind === "open" ? recordBeforehand(follow, subscription) : null;
  const exchange = await callAgent(context, turn.origin, { operation: "send", params, id: turn.id });
  return recordUnary(follow, exchange, source);
}

interface RunningSource {
  done: Promise<SourceEnd>;
  /** Null while it runs. */
  end: SourceEnd | null;
  close(): void;
}

function recordBeforehand(follow: FollowUp, subscription: Extract<AgentSubscription, { kind: "open" }>): RunningSource {
  const { events, iterator, first } = subscription;
  const running: RunningSource = {
    done: recordSource(follow.context, follow.recorder, { events, iterator, first, kind: "beforehand" }).then((end) => {
      running.end = end;
      return end;
    }),
    end: null,
    close: () => events.close(),
  };
  return running;
}

async function recordUnary(follow: FollowUp, exchange: AgentExchange, source: RunningSource | null): Promise<RunEnd> {
  const { context, turn, recorder } = follow;
  const outcome = exchange.kind === "reply" ? readReply(turn, exchange.reply) : { kind: "failed" as const };
  if (exchange.kind === "events") exchange.events.close();
  if (exchange.kind === "failed" && (!source || source.end === null || source.end.kind === "broken")) {
    source?.close();
    return exchange.end === "refused" ? "refused" : "died";
  }
  if (outcome.kind === "error" || outcome.kind === "failed") {
    // Events that came all the same show that the run has started.
    if (recorder.turn?.firstGeneration === null) {
      source?.close();
      return refuse(follow, outcome.kind === "error" ? outcome.reply : unreachable(turn));
    }
    return source ? closeRun(context, recorder, turn, await source.done) : followRun(context, recorder, turn);
  }
  if (outcome.kind === "message") {
    source?.close();
    return endWithMessage(follow, outcome.event, outcome.headers);
  }
  if (source) {
    await Promise.race([source.done, context.clock.sleep(SOURCE_GRACE_MS)]);
    if (source.end?.kind === "rest" || source.end?.kind === "lost") return "over";
  }
  recorder.recordDifference(outcome.task);
  if (recorder.resting) {
    source?.close();
    return "over";
  }
  if (source && source.end === null) return closeRun(context, recorder, turn, await source.done);
  return followRun(context, recorder, turn);
}

type UnaryOutcome =
  | { kind: "task"; task: string }
  | { kind: "message"; event: Extract<A2aEvent, { kind: "message" }>; headers: Record<string, string> }
  | { kind: "error"; reply: TurnReply };

function readReply(turn: OpenSend, reply: AgentReply): UnaryOutcome {
  const parsed = parseReply(reply.body);
  const event = parsed.kind === "result" ? parseSendResult(turn.row.dialect, oneLine(parsed.result)) : null;
  if (event?.kind === "task") return { kind: "task", task: event.task };
  if (event?.kind === "message") {
    return {
      kind: "message",
      event,
      headers: flatHeaders(forwardResponseHeaders(reply.headers, { bodyChanged: true })),
    };
  }
  return { kind: "error", reply: agentError(reply) };
}

/** A bare Message answers the sender only; what the task became in the meantime enters by the difference rule. */
async function endWithMessage(
  follow: FollowUp,
  event: Extract<A2aEvent, { kind: "message" }>,
  headers: Record<string, string>,
): Promise<RunEnd> {
  const { context, turn, recorder } = follow;
  const reply: TurnReply = { kind: "message", payload: event.payload, headers };
  const task = await getAgentTask(context, turn.origin, recorder.agentTaskId);
  if (task.kind === "task" && parseTask(turn.row.dialect, task.task).kind === "task") {
    recorder.recordDifference(task.task, { end: { state: "done", reply } });
  } else {
    recorder.endTurn(reply);
  }
  return "over";
}

/**
 * The agent refused the message: nothing of it is in the record, the task stays as it was. An agent that does not know the
 * task any more was restarted since: it gets the message as the first of this context.
 */
async function refuse(follow: FollowUp, reply: TurnReply): Promise<RunEnd> {
  const refusal = reply.kind === "error" ? parseReply(reply.body) : null;
  if (refusal?.kind === "error" && refusal.code === TASK_NOT_FOUND) {
    return runAttempt(follow.context, follow.turn, follow.recorder, null);
  }
  if (follow.recorder.turn) follow.recorder.turn.ended = true;
  await endWithoutTask(follow.context, follow.turn, reply);
  return "over";
}

/** During auth-required the running turn's source brings the events; only the reply belongs to this sender. */
async function forwardAside(follow: FollowUp): Promise<void> {
  const { context, turn, params } = follow;
  const exchange = await callAgent(context, turn.origin, { operation: "send", params, id: turn.id });
  if (exchange.kind === "events") exchange.events.close();
  const outcome = exchange.kind === "reply" ? readReply(turn, exchange.reply) : null;
  if (!outcome) return endWithoutTask(context, turn, unreachable(turn));
  if (outcome.kind === "task") return endWithoutTask(context, turn, null);
  const reply: TurnReply =
    outcome.kind === "error"
      ? outcome.reply
      : { kind: "message", payload: outcome.event.payload, headers: outcome.headers };
  await endWithoutTask(context, turn, reply);
}
