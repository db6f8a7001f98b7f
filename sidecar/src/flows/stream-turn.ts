/** The streaming answer of a turn: its events from the first on, until the turn ends. */
import type { TurnRow } from "../ports/task-store.ts";
import { resultEnvelope } from "../protocol/jsonrpc.ts";
import type { Answer, SseEvent } from "./answer.ts";
import { answerReply } from "./answer-turn.ts";
import { terminalSendError } from "../protocol/a2a-errors.ts";
import type { FlowContext } from "./flow-context.ts";
import { errorAnswer, type Rpc, single, unavailableAnswer, whenGone } from "./rpc.ts";
import { cursorOf, streamFromSnapshot } from "./subscribe-task.ts";
import { retryStore } from "./retry-store.ts";
import { streamTask } from "./stream-task.ts";
import type { TurnEnded, TurnProgress, TurnWatch } from "./turn-board.ts";

/** SSE headers are sent by then even if the agent has said nothing: clients give up on a silent connection. */
const HEADERS_AFTER_MS = 5_000;

export interface WatchedTurn {
  turn: TurnRow;
  watch: TurnWatch;
  /** The stream is that of an earlier send, so that a `Last-Event-ID` may be of it. */
  joined: boolean;
}

/** Answers as soon as the turn is bound, ended or slow; the watch is closed when the stream is over. */
export async function streamTurn(context: FlowContext, rpc: Rpc, watched: WatchedTurn): Promise<Answer> {
  const { watch } = watched;
  const { signal } = rpc.call;
  const { exiting } = context.lifetime;
  const slow = new AbortController();
  void context.clock.sleep(HEADERS_AFTER_MS, slow.signal).then(() => slow.abort());
  const first = await nextStage(watch, AbortSignal.any([signal, slow.signal, exiting]));
  slow.abort();
  if ((first.kind === "pending" && exiting.aborted) || first.kind === "lost") {
    watch.close();
    return unavailableAnswer(rpc, first.kind === "lost" ? "lost" : "exiting");
  }
  if (first.kind === "ended" && answersAlone(first)) {
    watch.close();
    return answerUnrecorded(context, rpc, { turn: watched.turn, ended: first });
  }
  whenGone(signal, () => watch.close());
  return { kind: "events", headers: {}, events: turnEvents(context, rpc, watched) };
}

async function* turnEvents(context: FlowContext, rpc: Rpc, watched: WatchedTurn): AsyncGenerator<SseEvent> {
  const { watch } = watched;
  const endStream = context.lifetime.beginStream();
  try {
    const stage = await nextStage(watch, AbortSignal.any([rpc.call.signal, context.lifetime.exiting]));
    if (stage.kind === "ended" && answersAlone(stage)) {
      yield* eventsOf(answerUnrecorded(context, rpc, { turn: watched.turn, ended: stage }));
      return;
    }
    if (stage.kind === "lost") {
      yield* eventsOf(unavailableAnswer(rpc, "lost"));
      return;
    }
    if (stage.kind === "pending" || stage.taskId === null || stage.firstGeneration === null) return;
    const { taskId, firstGeneration } = stage;
    const after = watched.joined ? await resumeAfter(context, rpc, { taskId, firstGeneration }) : firstGeneration - 1;
    yield* boundEvents(context, rpc, { watch, taskId, after });
    if (watch.progress.kind === "ended" && watch.progress.reply?.kind === "message") {
      yield { data: resultEnvelope(rpc.id, watch.progress.reply.payload) };
    }
  } finally {
    endStream();
    watch.close();
  }
}

/** Where a client goes on that had a part of this turn's events: `Last-Event-ID` within the turn, else its beginning. */
async function resumeAfter(
  context: FlowContext,
  rpc: Rpc,
  bound: { taskId: string; firstGeneration: number },
): Promise<number> {
  const { taskId, firstGeneration } = bound;
  if (rpc.call.request.headers["last-event-id"] === undefined) return firstGeneration - 1;
  const [position] = await retryStore(context, () => context.store.readPositions([taskId]));
  const cursor = cursorOf(rpc, position?.generation ?? 0);
  return cursor === null || cursor < firstGeneration ? firstGeneration - 1 : cursor;
}

async function* boundEvents(
  context: FlowContext,
  rpc: Rpc,
  bound: { watch: TurnWatch; taskId: string; after: number },
): AsyncGenerator<SseEvent> {
  const { watch, taskId, after } = bound;
  const stop = new AbortController();
  const signal = AbortSignal.any([rpc.call.signal, stop.signal, context.lifetime.closing]);
  let sent = after;
  if (isComplete(watch.progress, sent)) return;
  const stopIfComplete = () => {
    if (isComplete(watch.progress, sent)) stop.abort();
  };
  void untilEnded(watch, signal).then(stopIfComplete);
  const feed = context.feeds.open(taskId);
  try {
    await feed.joined;
    // What was committed before the feed was opened is in the log; without this it would be found by the safety poll.
    feed.observe(lastGeneration(watch.progress) ?? after + 1, false);
    const events = streamTask(context, rpc, {
      feed,
      after,
      signal,
      closesAfter: (event, { rest }) => {
        sent = event.generation;
        return rest || event.terminal || isComplete(watch.progress, sent);
      },
      moreFollows: () => watch.progress.kind === "ended" && watch.progress.reply?.kind === "message",
    });
    yield* events;
  } finally {
    stop.abort();
    feed.close();
  }
}

/** A turn without events: the agent's bare Message, its refusal, or a queued message whose task ended first. */
function answerUnrecorded(context: FlowContext, rpc: Rpc, unrecorded: { turn: TurnRow; ended: TurnEnded }): Answer {
  const { turn, ended } = unrecorded;
  const taskId = ended.taskId ?? turn.taskId ?? "";
  if (!ended.reply && ended.state === "failed")
    return errorAnswer(rpc, terminalSendError(rpc.dialect, taskId, "completed"));
  if (!ended.reply) return { kind: "events", headers: {}, events: streamFromSnapshot(context, rpc, taskId) };
  if (ended.reply.kind === "error") return answerReply(rpc, ended.reply);
  return { kind: "events", headers: {}, events: single({ data: resultEnvelope(rpc.id, ended.reply.payload) }) };
}

/** An answer inside a stream whose headers are sent already. */
async function* eventsOf(answer: Answer): AsyncGenerator<SseEvent> {
  if (answer.kind === "events") yield* answer.events;
  else
    yield {
      event: "error",
      data: typeof answer.body === "string" ? answer.body : Buffer.from(answer.body).toString("utf8"),
    };
}

/** Whether the caller gets no event of the task: there is none, or a bare Message came before any was shown. */
function answersAlone(ended: TurnEnded): boolean {
  return ended.taskId === null || ended.firstGeneration === null || ended.reply?.kind === "message";
}

async function nextStage(watch: TurnWatch, signal: AbortSignal): Promise<TurnProgress> {
  while (watch.progress.kind === "pending" && !signal.aborted) await watch.changed(watch.progress, signal);
  return watch.progress;
}

async function untilEnded(watch: TurnWatch, signal: AbortSignal): Promise<void> {
  while (watch.progress.kind !== "ended" && !signal.aborted) await watch.changed(watch.progress, signal);
}

/** Whether nothing of the turn comes after this generation. */
function isComplete(progress: TurnProgress, sent: number): boolean {
  const last = lastGeneration(progress);
  return last !== null && sent >= last;
}

function lastGeneration(progress: TurnProgress): number | null {
  return progress.kind === "ended" ? progress.lastGeneration : null;
}
