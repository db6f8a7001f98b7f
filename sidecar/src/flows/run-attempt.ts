/**
 * A further try at a turn that has a task: the same message again, without the task id the agent here has never heard
 * of, in the same context. The task goes on: a working status says why, what the broken attempt had shown is blanked,
 * and what the agent says now continues the same history (P4). The caller has raised the attempt number already.
 */
import { AttemptArtifacts, blankEvents, type BrokenTurn, turnArtifactIds } from "../domain/attempt-artifacts.ts";
import { reasonText } from "../domain/recovery-decision.ts";
import { rebuildFold } from "../domain/fold.ts";
import type { AgentReply } from "../ports/agent.ts";
import type { EventRow, NewEvent } from "../ports/task-store.ts";
import { type A2aEvent, parseEvent, parseSendResult, statusPayload } from "../protocol/events.ts";
import { parseReply } from "../protocol/jsonrpc.ts";
import { oneLine } from "../protocol/raw-json.ts";
import { setMessageIds, setRequestMetadata, stripHistoryLength } from "../protocol/send-params.ts";
import { ATTEMPT_METADATA_KEY } from "@durable-agent/crds/contract";
import { isTerminal } from "../domain/task-state.ts";
import { abandonRun } from "./abandon-run.ts";
import { callAgent, CREDENTIALS_REFUSED, INVALID_PARAMS, INVALID_REQUEST } from "./agent-calls.ts";
import { closeRun, followRun, type RunEnd } from "./follow-run.ts";
import type { FlowContext } from "./flow-context.ts";
import { recordSource } from "./record-source.ts";
import { retryStore } from "./retry-store.ts";
import type { OpenSend } from "./open-turn.ts";
import type { TaskRecorder } from "./task-recorder.ts";
import { upstreamOperation } from "./upstream-operation.ts";

const NO_USABLE_ANSWER = "The agent gave no usable answer when the message was sent again.";
const INVALID = new Set([INVALID_REQUEST, INVALID_PARAMS]);

/** Records what announces the attempt (`why`, null for a message the agent never had), then runs it to its end. */
export async function runAttempt(
  context: FlowContext,
  turn: OpenSend,
  recorder: TaskRecorder,
  why: string | null,
): Promise<RunEnd> {
  const broken = await brokenAttempt(context, recorder);
  // Canceled, or taken by somebody else, while it was prepared: no executor is started for nothing (I5, P6).
  if (isUnwanted(recorder)) return "over";
  recorder.beginAttempt(turn.row.attempt);
  if (why !== null) recorder.record([restartStatus(context, recorder, why)], { rests: false });
  if (broken) {
    recorder.record(blankEvents(recorder.fold, broken), { rests: false });
    recorder.continueArtifacts(new AttemptArtifacts(recorder.fold, broken));
  }
  return deliver(context, turn, { recorder, params: attemptParams(turn, recorder) });
}

interface Delivery {
  recorder: TaskRecorder;
  params: string;
}

async function deliver(context: FlowContext, turn: OpenSend, delivery: Delivery): Promise<RunEnd> {
  const operation = await upstreamOperation(context, turn);
  const { recorder, params } = delivery;
  const exchange = await callAgent(context, turn.origin, { operation, params, id: turn.id });
  if (exchange.kind === "failed") return exchange.end === "refused" ? "refused" : "died";
  if (exchange.kind === "reply") return recordReply(context, turn, delivery, exchange.reply);
  const { events } = exchange;
  const iterator = events[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done && events.end !== "clean") return "died";
  if (first.done) return fail(recorder, NO_USABLE_ANSWER);
  const parsed = parseReply(first.value.data);
  const event = parsed.kind === "result" ? parseEvent(recorder.dialect, oneLine(parsed.result)) : null;
  if (!event || event.kind === "message") {
    events.close();
    const reply = { status: 200, headers: {}, body: first.value.data };
    if (!event) return recordReply(context, turn, delivery, reply);
    endWithMessage(recorder, event);
    return "over";
  }
  if (isUnwanted(recorder) && event.kind !== "other") abandonRun(context, turn.origin, event.taskId);
  const end = await recordSource(context, recorder, { events, iterator, first: first.value, kind: "turn" });
  return closeRun(context, recorder, turn, end);
}

async function recordReply(
  context: FlowContext,
  turn: OpenSend,
  delivery: Delivery,
  reply: AgentReply,
): Promise<RunEnd> {
  const { recorder, params } = delivery;
  if (CREDENTIALS_REFUSED.has(reply.status)) return fail(recorder, reasonText.CredentialsRefused);
  const parsed = parseReply(reply.body);
  if (parsed.kind === "error") {
    // An agent that insists on contexts of its own gets the message without one, once.
    const bare = setMessageIds(params, { contextId: null });
    if (bare !== params && refusesContext(parsed)) return deliver(context, turn, { recorder, params: bare });
    return fail(recorder, `The agent refused the message when it was sent again (error ${parsed.code}).`);
  }
  const event = parsed.kind === "result" ? parseSendResult(recorder.dialect, oneLine(parsed.result)) : null;
  if (event?.kind === "message") {
    endWithMessage(recorder, event);
    return "over";
  }
  if (event?.kind !== "task") return fail(recorder, NO_USABLE_ANSWER);
  if (isUnwanted(recorder)) abandonRun(context, turn.origin, event.taskId);
  adopt(recorder, event);
  recorder.recordDifference(event.task, { fresh: true });
  return recorder.resting ? "over" : followRun(context, recorder, turn);
}

/**
 * Whether the agent has refused the message for its context. Any other error may come from a run, which must not be started
 * twice in one attempt (I5): JS 1.3 calls a request malformed whose executor has ended without a word.
 */
function refusesContext({ code, error }: { code: number; error: string }): boolean {
  return INVALID.has(code) && /context/i.test(error);
}

/** The task was canceled, or taken over, while the attempt had no id yet by which it could have been cancelled. */
function isUnwanted(recorder: TaskRecorder): boolean {
  return recorder.lost || isTerminal(recorder.state);
}

function fail(recorder: TaskRecorder, reason: string): RunEnd {
  recorder.recordStatus("failed", reason);
  return "over";
}

/** The task was made by an earlier attempt, so a bare Message becomes its completion. */
function endWithMessage(recorder: TaskRecorder, event: Extract<A2aEvent, { kind: "message" }>): void {
  recorder.recordCompletion(event.message, { kind: "message", payload: event.payload, headers: {} });
}

function adopt(recorder: TaskRecorder, event: A2aEvent): void {
  if (event.kind !== "message" && event.kind !== "other") recorder.adoptAgent(event.taskId, event.contextId);
}

function attemptParams(turn: OpenSend, recorder: TaskRecorder): string {
  const params = stripHistoryLength(turn.row.dialect, turn.params);
  const fresh = setMessageIds(params, { taskId: null, contextId: recorder.contextId });
  return turn.row.attempt > 1 ? setRequestMetadata(fresh, ATTEMPT_METADATA_KEY, String(turn.row.attempt)) : fresh;
}

/** What the broken attempts of the active turn have shown: their artifacts are blanked and continued. */
async function brokenAttempt(context: FlowContext, recorder: TaskRecorder): Promise<BrokenTurn | null> {
  await recorder.settled();
  const first = recorder.turn?.firstGeneration ?? null;
  if (first === null) return null;
  const rows = await readAll(context, recorder.taskId);
  const { taskId, contextId, dialect } = recorder;
  const earlier = rows.filter((row) => row.generation < first);
  const shown = rows.filter((row) => row.generation >= first);
  return {
    artifactIds: turnArtifactIds(dialect, shown),
    before: earlier.length === 0 ? null : rebuildFold(dialect, null, { taskId, contextId }, earlier),
  };
}

async function readAll(context: FlowContext, taskId: string): Promise<EventRow[]> {
  const rows: EventRow[] = [];
  for (;;) {
    const after = rows.at(-1)?.generation ?? 0;
    const page = await retryStore(context, () => context.store.readEvents(taskId, after, PAGE_ROWS, PAGE_BYTES));
    if (page.length === 0) return rows;
    rows.push(...page);
  }
}

const PAGE_ROWS = 1_000;
const PAGE_BYTES = 4 * 1024 * 1024;

function restartStatus(context: FlowContext, recorder: TaskRecorder, why: string): NewEvent {
  const payload = statusPayload(recorder.dialect, {
    taskId: recorder.taskId,
    contextId: recorder.contextId,
    state: "working",
    timestamp: context.clock.now().toISOString(),
    message: { messageId: context.newId(), text: why },
    final: false,
  });
  return { kind: "status", payload, hidden: null };
}
