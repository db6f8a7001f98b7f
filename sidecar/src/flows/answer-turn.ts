/** The unary answer of a turn: the agent's own reply where the record holds it whole, else the folded Task. */
import { openFold, taskText } from "../domain/fold.ts";
import type { TurnReply, TurnRow } from "../ports/task-store.ts";
import { taskNotFound, terminalSendError } from "../protocol/a2a-errors.ts";
import { parseEvent, wrapTask } from "../protocol/events.ts";
import { errorEnvelope, parseReply } from "../protocol/jsonrpc.ts";
import type { SendParams } from "../protocol/params.ts";
import { isObject, member } from "../protocol/raw-json.ts";
import type { Answer } from "./answer.ts";
import type { FlowContext } from "./flow-context.ts";
import { foldAt } from "./fold-at.ts";
import { followTask } from "./follow-task.ts";
import { retryStore } from "./retry-store.ts";
import { errorAnswer, resultAnswer, type Rpc, unavailableAnswer, whenGone } from "./rpc.ts";
import { foldOf } from "./fold-view.ts";
import type { TurnEnded, TurnWatch } from "./turn-board.ts";

/** One row is read whatever its size. */
const MAX_FIRST_BYTES = 1;

export interface WaitedTurn {
  turn: TurnRow;
  send: SendParams;
  watch: TurnWatch;
}

/** Waits for what the caller asked to wait for, then answers. */
export async function answerTurn(context: FlowContext, rpc: Rpc, waited: WaitedTurn): Promise<Answer> {
  const { watch } = waited;
  const leaving = AbortSignal.any([rpc.call.signal, context.lifetime.exiting]);
  const waits = await waitsForRest(context, rpc, waited.send);
  for (;;) {
    const { progress } = watch;
    if (progress.kind === "ended") return answerEnded(context, rpc, waited, progress);
    if (progress.kind === "bound") {
      const begun = await begunAnswer(context, rpc, { ...waited, waits, taskId: progress.taskId });
      if (begun) return begun;
      if (await pausedForAuth(context, rpc, { watch, leaving }))
        return answerTask(context, rpc, waited, progress.taskId);
      if (watch.progress !== progress) continue;
    }
    // A retry with the same message id joins this turn wherever it runs by then (P7), or is a new one if it runs nowhere.
    if (progress.kind === "lost") return unavailableAnswer(rpc, "lost");
    if (leaving.aborted) return unavailableAnswer(rpc, "exiting");
    await watch.changed(progress, leaving);
  }
}

/**
 * Whether a unary send waits for rest. Left unset, 0.3 agents wait, except that a 1.0 agent that also speaks 0.3 does
 * not wait when the call carries a configuration.
 */
async function waitsForRest(context: FlowContext, rpc: Rpc, send: SendParams): Promise<boolean> {
  if (send.blocking !== null) return send.blocking;
  const traits = await context.profile.traits();
  return traits.native03 || !isObject(member(rpc.params ?? "{}", "configuration"));
}

/** Waits until the bound turn changes, or the task pauses at auth-required: that is answered while the work goes on. */
async function pausedForAuth(
  context: FlowContext,
  rpc: Rpc,
  { watch, leaving }: { watch: TurnWatch; leaving: AbortSignal },
): Promise<boolean> {
  const { progress } = watch;
  if (progress.kind !== "bound") return false;
  const { store, clock, log } = context;
  const stop = new AbortController();
  const leave = () => stop.abort();
  whenGone(leaving, leave);
  void watch.changed(progress, stop.signal).then(leave);
  const feed = context.feeds.open(progress.taskId);
  try {
    await feed.joined;
    feed.observe(progress.firstGeneration, false);
    const after = progress.firstGeneration - 1;
    for await (const event of followTask({ feed, store, clock, log, after, signal: stop.signal })) {
      const parsed = event.kind === "status" || event.kind === "task" ? parseEvent(rpc.dialect, event.payload) : null;
      if ((parsed?.kind === "status" || parsed?.kind === "task") && parsed.state === "auth-required") return true;
    }
    return false;
  } finally {
    leaving.removeEventListener("abort", leave);
    stop.abort();
    feed.close();
  }
}

async function answerEnded(context: FlowContext, rpc: Rpc, waited: WaitedTurn, ended: TurnEnded): Promise<Answer> {
  if (ended.reply) return answerReply(rpc, ended.reply);
  if (ended.onlyTask !== null) return resultAnswer(rpc, withHistory(rpc, ended.onlyTask, waited.send.historyLength));
  return answerTask(context, rpc, waited, ended.taskId);
}

/**
 * The answer while the work goes on, null where the caller waits for more. For a new message that is the agent's own
 * reply, which is the task's first event; else the Task as far as it has come.
 */
async function begunAnswer(
  context: FlowContext,
  rpc: Rpc,
  waited: WaitedTurn & { waits: boolean; taskId: string },
): Promise<Answer | null> {
  const { turn, send, taskId, waits } = waited;
  const isNew = turn.taskId === null;
  const [first] = isNew ? await retryStore(context, () => context.store.readEvents(taskId, 0, 1, MAX_FIRST_BYTES)) : [];
  const reply = first?.kind === "task" ? parseEvent(rpc.dialect, first.payload) : null;
  const begun = reply?.kind === "task" ? reply : null;
  if (waits && begun?.state !== "auth-required") return null;
  if (!begun) return answerTask(context, rpc, waited, taskId, isNew ? 1 : null);
  return resultAnswer(rpc, withHistory(rpc, begun.payload, send.historyLength));
}

/** A reply that is no Task: passed on as the agent gave it, under this caller's JSON-RPC id. */
export function answerReply(rpc: Rpc, reply: TurnReply): Answer {
  if (reply.kind !== "error") return resultAnswer(rpc, reply.payload, reply.headers);
  const parsed = parseReply(reply.body);
  const streamed = (reply.headers["content-type"] ?? "").startsWith("text/event-stream");
  if (parsed.kind !== "error") return { kind: "json", status: reply.status, headers: reply.headers, body: reply.body };
  if (streamed) return errorAnswer(rpc, parsed.error);
  const body = parsed.id === rpc.id ? reply.body : errorEnvelope(rpc.id, parsed.error);
  return { kind: "json", status: reply.status, headers: reply.headers, body };
}

async function answerTask(
  context: FlowContext,
  rpc: Rpc,
  waited: WaitedTurn,
  taskId: string | null,
  generation: number | null = null,
): Promise<Answer> {
  const id = taskId ?? waited.turn.taskId ?? "";
  const view = await retryStore(context, () => context.store.readView(id));
  if (!view) return errorAnswer(rpc, taskNotFound(rpc.dialect, id));
  const { progress } = waited.watch;
  // A queued message whose task ended first was never given to the agent.
  const unsent = progress.kind === "ended" && progress.state === "failed" && progress.firstGeneration === null;
  if (unsent) return errorAnswer(rpc, terminalSendError(rpc.dialect, id, view.task.state));
  const { historyLength } = waited.send;
  const [only] = view.tail;
  if (view.task.generation === 1 && only?.kind === "task")
    return resultAnswer(rpc, withHistory(rpc, only.payload, historyLength));
  // A turn that was queued behind this one may have gone on with the task already.
  const last = generation ?? (progress.kind === "ended" ? progress.lastGeneration : null);
  const fold = last !== null && last < view.task.generation ? await foldAt(context, view.task, last) : foldOf(view);
  return resultAnswer(rpc, wrapTask(rpc.dialect, taskText(fold, { historyLength })));
}

/** A recorded Task event as an answer: untouched unless the caller limits the history. */
function withHistory(rpc: Rpc, payload: string, historyLength: number | null): string {
  if (historyLength === null) return payload;
  const event = parseEvent(rpc.dialect, payload);
  return event.kind === "task"
    ? wrapTask(rpc.dialect, taskText(openFold(rpc.dialect, event.task), { historyLength }))
    : payload;
}
