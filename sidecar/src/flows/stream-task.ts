/**
 * What a client reads of a task's record as SSE: each event under the caller's own JSON-RPC id, with its generation as
 * the event id (I6), closed where the protocol closes it.
 */
import { isAtRest, isTerminal } from "../domain/task-state.ts";
import type { FeedEvent, TaskFeed } from "./task-feeds.ts";
import { a2aError } from "../protocol/a2a-errors.ts";
import { parseEvent, withFinal } from "../protocol/events.ts";
import { errorEnvelope, resultEnvelope } from "../protocol/jsonrpc.ts";
import type { SseEvent } from "./answer.ts";
import type { FlowContext } from "./flow-context.ts";
import { followTask } from "./follow-task.ts";
import type { Rpc } from "./rpc.ts";

export interface StreamStart {
  feed: TaskFeed;
  /** The first event sent is `after` + 1. */
  after: number;
  signal: AbortSignal;
  /**
   * Whether the stream closes after this event. `rest` says that the event puts the task at rest, `head` that nothing
   * after it is known.
   */
  closesAfter: (event: FeedEvent, standing: { rest: boolean; terminal: boolean; head: boolean }) => boolean;
  /** Whether the caller sends something of its own after the last event. Default: never. */
  moreFollows?: () => boolean;
}

export async function* streamTask(context: FlowContext, rpc: Rpc, start: StreamStart): AsyncGenerator<SseEvent> {
  const { feed, after, signal } = start;
  const { store, clock, log } = context;
  const following = followTask({
    feed,
    store,
    clock,
    log,
    after,
    signal,
    onGapFilled: () => context.metrics.gapFilled(),
  });
  for await (const event of following) {
    const state = stateAfter(rpc, event);
    const closes = start.closesAfter(event, { ...state, head: event.generation >= feed.head });
    // 0.3 clients stop reading at `final`, so it stands on the event after which the stream closes.
    const ends = closes && !start.moreFollows?.();
    const payload =
      ends && rpc.dialect === "0.3" && event.kind === "status" ? withFinal(event.payload, true) : event.payload;
    yield { id: String(event.generation), data: resultEnvelope(rpc.id, payload) };
    if (closes) return;
  }
  if (following.end === "gone") {
    const error = a2aError(rpc.dialect, "task-not-found", "The task has left its retention period.");
    yield { event: "error", data: errorEnvelope(rpc.id, error) };
  }
}

function stateAfter(rpc: Rpc, event: FeedEvent): { rest: boolean; terminal: boolean } {
  if (event.kind !== "status" && event.kind !== "task") return { rest: event.terminal, terminal: event.terminal };
  const parsed = parseEvent(rpc.dialect, event.payload);
  if (parsed.kind !== "status" && parsed.kind !== "task") return { rest: event.terminal, terminal: event.terminal };
  return { rest: isAtRest(parsed.state), terminal: isTerminal(parsed.state) };
}
