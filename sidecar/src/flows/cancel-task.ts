/**
 * Cancel, on the caller's side: marks the task, tells its owner, and answers with what came of it. Only the owner's
 * agent can stop the work; an owner that does not take the mark in time is deposed, so that the task ends all the same.
 */
import { type Fold, foldEvent, foldHead, snapshotText, taskText } from "../domain/fold.ts";
import { isTerminal } from "../domain/task-state.ts";
import type { TaskRow } from "../ports/task-store.ts";
import { cancelTerminalError } from "../protocol/a2a-errors.ts";
import { statusPayload } from "../protocol/events.ts";
import { turnHeaders } from "../protocol/headers.ts";
import { parseTaskParams } from "../protocol/params.ts";
import type { Answer } from "./answer.ts";
import type { FlowContext } from "./flow-context.ts";
import { errorAnswer, refuseTask, resultAnswer, type Rpc } from "./rpc.ts";
import { foldOf } from "./fold-view.ts";
import type { TaskFeed } from "./task-feeds.ts";

/** An owner that has not taken the mark by then is deposed. */
const TAKE_PATIENCE_MS = 1_000;
/** The caller of a mark that is taken but unanswered gets the current Task after this. */
const ANSWER_PATIENCE_MS = 10_000;
const NUDGE_INTERVAL_MS = 200;

export async function answerCancel(context: FlowContext, rpc: Rpc): Promise<Answer | "pass-through"> {
  const params = parseTaskParams(rpc.dialect, rpc.params);
  if (params.kind === "bad") return errorAnswer(rpc, params.error);
  const { id, tenant } = params.value;
  const task = await context.store.readTask(id);
  if (!task) return "pass-through";
  const refusal = refuseTask(rpc, task, tenant);
  if (refusal) return refusal;
  const feed = context.feeds.open(id);
  try {
    await feed.joined;
    const { path, headers } = rpc.call.request;
    const sealed = context.seal.seal(JSON.stringify({ path, headers: turnHeaders(headers) }));
    const request = await context.store.requestCancel(id, sealed);
    if (request.kind === "no-task") return "pass-through";
    if (request.kind === "terminal") return await answerTerminal(context, rpc, request.task);
    return await awaitOutcome(context, rpc, { task: request.task, feed });
  } finally {
    feed.close();
  }
}

/** Cancel of a canceled task is idempotent in 1.0 (§3.3.1), also for a 1.0 agent that is called in 0.3; 0.3 SDKs refuse it. */
async function answerTerminal(context: FlowContext, rpc: Rpc, task: TaskRow): Promise<Answer> {
  const idempotent = rpc.dialect === "1.0" || !(await context.profile.traits()).native03;
  if (task.state === "canceled" && idempotent) return answerCurrent(context, rpc, task.taskId);
  return errorAnswer(rpc, cancelTerminalError(rpc.dialect, task.taskId, task.state));
}

async function awaitOutcome(
  context: FlowContext,
  rpc: Rpc,
  marked: { task: TaskRow; feed: TaskFeed },
): Promise<Answer> {
  const { taskId } = marked.task;
  const startedMs = context.clock.monotonicMs();
  let task: TaskRow | null = marked.task;
  for (;;) {
    const { generation, owner } = task;
    tellOwner(context, task);
    await waitForNews(context, { feed: marked.feed, generation, signal: rpc.call.signal });
    task = await context.store.readTask(taskId);
    if (!task) return errorAnswer(rpc, cancelTerminalError(rpc.dialect, taskId, "canceled"));
    if (isTerminal(task.state)) return answerEnded(context, rpc, task);
    if (task.cancel?.error) return errorAnswer(rpc, task.cancel.error);
    if (!task.cancel) return answerCurrent(context, rpc, taskId);
    const waitedMs = context.clock.monotonicMs() - startedMs;
    const untaken = !task.cancel.taken && (waitedMs >= TAKE_PATIENCE_MS || !task.ownerAlive);
    if (untaken && owner === task.owner && (await deposeAndCancel(context, taskId)))
      return answerCurrent(context, rpc, taskId);
    if (waitedMs >= ANSWER_PATIENCE_MS || rpc.call.signal.aborted) return answerCurrent(context, rpc, taskId);
  }
}

function tellOwner(context: FlowContext, task: TaskRow): void {
  if (!task.cancel || task.cancel.taken) return;
  if (task.owner === context.settings.instanceId) context.startCancel(task.taskId);
  else context.relay.nudge(task.owner, { cancelTaskId: task.taskId });
}

async function waitForNews(
  context: FlowContext,
  news: { feed: TaskFeed; generation: number; signal: AbortSignal },
): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([news.signal, stop.signal]);
  await Promise.race([news.feed.wait(news.generation, signal), context.clock.sleep(NUDGE_INTERVAL_MS, signal)]);
  stop.abort();
}

async function answerEnded(context: FlowContext, rpc: Rpc, task: TaskRow): Promise<Answer> {
  // The agent finished before it could be stopped.
  if (task.state === "completed" || task.state === "rejected") {
    return errorAnswer(rpc, cancelTerminalError(rpc.dialect, task.taskId, task.state));
  }
  return answerCurrent(context, rpc, task.taskId);
}

async function answerCurrent(context: FlowContext, rpc: Rpc, taskId: string): Promise<Answer> {
  const view = await context.store.readView(taskId);
  if (!view) return errorAnswer(rpc, cancelTerminalError(rpc.dialect, taskId, "canceled"));
  return resultAnswer(rpc, taskText(foldOf(view)));
}

/** Takes the task from an owner that does not answer and ends it, in one statement (P5, P6). */
async function deposeAndCancel(context: FlowContext, taskId: string): Promise<boolean> {
  const view = await context.store.readView(taskId);
  if (!view || isTerminal(view.task.state)) return false;
  const { task } = view;
  const fold = foldOf(view);
  const payload = canceledStatus(context, task, fold);
  const event = { kind: "status" as const, payload, hidden: null };
  foldEvent(fold, event);
  const head = foldHead(fold);
  const committed = await context.store.deposeAndCancel({
    self: context.settings.instanceId,
    taskId,
    tenant: task.tenant,
    epoch: task.epoch,
    attempt: task.attempt,
    expected: task.generation,
    events: [event],
    head: { state: head.state, statusTimestamp: head.statusTimestamp, contextId: head.contextId },
    snapshot: { task: snapshotText(fold) },
    end: null,
    firstOf: null,
    cancelAnswered: true,
  });
  if (!committed) return false;
  const generation = task.generation + 1;
  context.feeds.committed(taskId, [{ generation, epoch: committed.epoch, kind: "status", payload, terminal: true }]);
  for (const turnId of committed.ended) context.relay.publishTurn({ turnId });
  context.metrics.eventsRecorded(1);
  return true;
}

function canceledStatus(context: FlowContext, task: TaskRow, fold: Fold): string {
  const timestamp = context.clock.now().toISOString();
  const { contextId } = foldHead(fold);
  return statusPayload(task.dialect, { taskId: task.taskId, contextId, state: "canceled", timestamp, final: true });
}
