/**
 * Subscribe: the Task as it is, then what follows, on any pod (P3). A client that comes back with `Last-Event-ID` gets
 * exactly what it has not had, also when the task ended in between.
 */
import { taskText } from "../domain/fold.ts";
import { isAtRest, isTerminal } from "../domain/task-state.ts";
import type { TaskView } from "../ports/task-store.ts";
import { terminalSubscribeError } from "../protocol/a2a-errors.ts";
import { wrapTask } from "../protocol/events.ts";
import { resultEnvelope } from "../protocol/jsonrpc.ts";
import { parseTaskParams } from "../protocol/params.ts";
import type { Answer, SseEvent } from "./answer.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import { errorAnswer, refuseTask, type Rpc, single, whenGone } from "./rpc.ts";
import { streamTask } from "./stream-task.ts";
import type { TaskFeed } from "./task-feeds.ts";
import { foldOf } from "./fold-view.ts";

export async function answerSubscribe(context: FlowContext, rpc: Rpc): Promise<Answer | "pass-through"> {
  const params = parseTaskParams(rpc.dialect, rpc.params);
  if (params.kind === "bad") return errorAnswer(rpc, params.error);
  const { id, tenant } = params.value;
  // Joined before the record is read, so that nothing falls between the two.
  const feed = context.feeds.open(id);
  try {
    await feed.joined;
    const view = await context.store.readView(id);
    const refusal = view ? refuseTask(rpc, view.task, tenant) : "pass-through";
    if (!view || refusal) {
      feed.close();
      return refusal ?? "pass-through";
    }
    return answerFrom(context, rpc, { feed, view });
  } catch (error) {
    feed.close();
    throw error;
  }
}

function answerFrom(context: FlowContext, rpc: Rpc, open: { feed: TaskFeed; view: TaskView }): Answer {
  const { feed, view } = open;
  const { task } = view;
  feed.observe(task.generation, isTerminal(task.state));
  // A generator that is never started never runs its `finally`.
  whenGone(rpc.call.signal, () => feed.close());
  const cursor = cursorOf(rpc, task.generation);
  if (cursor === null && isTerminal(task.state)) {
    feed.close();
    const error = terminalSubscribeError(rpc.dialect, task.taskId, task.state);
    // JS 0.3 shows a finished task and closes.
    return error === null
      ? { kind: "events", headers: {}, events: single(snapshotEvent(rpc, view)) }
      : errorAnswer(rpc, error);
  }
  if (cursor === task.generation && isTerminal(task.state)) {
    feed.close();
    return { kind: "events", headers: {}, events: none() };
  }
  return { kind: "events", headers: {}, events: subscription(context, rpc, { feed, view, cursor }) };
}

/** The Task as it is and what follows until rest, for a message whose events another turn's source brings. */
export async function* streamFromSnapshot(context: FlowContext, rpc: Rpc, taskId: string): AsyncGenerator<SseEvent> {
  const feed = context.feeds.open(taskId);
  try {
    await feed.joined;
    const view = await retryStore(context, () => context.store.readView(taskId));
    if (!view) return;
    if (isAtRest(view.task.state)) yield snapshotEvent(rpc, view);
    else yield* subscription(context, rpc, { feed, view, cursor: null });
  } finally {
    feed.close();
  }
}

async function* subscription(
  context: FlowContext,
  rpc: Rpc,
  open: { feed: TaskFeed; view: TaskView; cursor: number | null },
): AsyncGenerator<SseEvent> {
  const { feed, view, cursor } = open;
  // One that waits for somebody's answer would hold a drain for nothing.
  const endStream = isAtRest(view.task.state) ? null : context.lifetime.beginStream();
  try {
    if (cursor === null) yield snapshotEvent(rpc, view);
    yield* streamTask(context, rpc, {
      feed,
      after: cursor ?? view.task.generation,
      signal: AbortSignal.any([rpc.call.signal, context.lifetime.closing]),
      // An input-required that later events have left behind is history; one that is the newest ends the stream.
      closesAfter: (event, { rest, terminal, head }) => terminal || event.terminal || (rest && head),
    });
  } finally {
    endStream?.();
    feed.close();
  }
}

function snapshotEvent(rpc: Rpc, view: TaskView): SseEvent {
  const payload = wrapTask(rpc.dialect, taskText(foldOf(view)));
  return { id: String(view.task.generation), data: resultEnvelope(rpc.id, payload) };
}

/** `Last-Event-ID` as a generation this record has reached; anything else counts as absent. */
export function cursorOf(rpc: Rpc, head: number): number | null {
  const value = rpc.call.request.headers["last-event-id"];
  if (typeof value !== "string" || !/^\d{1,15}$/.test(value)) return null;
  const cursor = Number(value);
  return cursor <= head ? cursor : null;
}

async function* none(): AsyncGenerator<SseEvent> {}
