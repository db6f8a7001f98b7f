/** The first event of a new message makes the Task (I2): ids chosen, turn bound, events stored, all in one statement. */
import { emptyFold, foldEvent, foldHead } from "../domain/fold.ts";
import { idMap, toPublic } from "../domain/id-map.ts";
import { SnapshotPolicy } from "../domain/snapshot-policy.ts";
import { isAtRest } from "../domain/task-state.ts";
import type { NewEvent, TurnReply } from "../ports/task-store.ts";
import type { A2aEvent } from "../protocol/events.ts";
import { abandonRun } from "./abandon-run.ts";
import { historyHolds } from "./find-agent-task.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import type { OpenSend } from "./open-turn.ts";
import { TaskRecorder } from "./task-recorder.ts";

/** An event that names a task. */
export type TaskBearingEvent = Extract<A2aEvent, { kind: "task" | "status" | "artifact" }>;

/**
 * Creates the Task from its first event and binds the turn. The public ids are the agent's own unless another task of
 * this agent has that id; then a fresh one is minted and mapped. Null = the turn is not ours any more: nothing is stored.
 */
export async function createTask(
  context: FlowContext,
  turn: OpenSend,
  event: TaskBearingEvent,
  options: { end?: { reply: TurnReply | null } } = {},
): Promise<TaskRecorder | null> {
  const agentContextId = event.contextId || (turn.send.contextId ?? "");
  let taskId = event.taskId;
  for (;;) {
    const creation = draftCreation(turn, event, { taskId, agentContextId, ending: options.end ?? null });
    const outcome = await retryStore(context, () => context.store.createTask(creation.creation));
    if (outcome.kind === "id-taken") {
      taskId = context.newId();
      context.metrics.idsMapped();
      continue;
    }
    if (outcome.kind === "deposed") {
      context.metrics.turnEnded("fenced");
      context.board.handOff(turn.row.id);
      abandonRun(context, turn.origin, event.taskId);
      return null;
    }
    context.unbound.recorded(turn);
    const recorder = new TaskRecorder(context, {
      tenant: turn.row.tenant,
      taskId,
      dialect: turn.row.dialect,
      epoch: outcome.epoch,
      attempt: turn.row.attempt,
      generation: 1,
      fold: creation.fold,
      ids: creation.ids,
      agentTaskId: event.taskId,
      snapshots: new SnapshotPolicy(0, creation.event.payload.length),
      turn: creation.creation.end
        ? null
        : { id: turn.row.id, hidden: null, firstGeneration: 1, ended: false, origin: turn.origin },
    });
    announceCreation(context, recorder, creation, outcome.promoted);
    return recorder;
  }
}

function draftCreation(
  turn: OpenSend,
  event: TaskBearingEvent,
  ids: { taskId: string; agentContextId: string; ending: { reply: TurnReply | null } | null },
) {
  const { row, send } = turn;
  const { taskId, agentContextId } = ids;
  const map = idMap({ agentTaskId: event.taskId, taskId, agentContextId, contextId: agentContextId });
  const hidden = event.kind === "task" && historyHolds(event.task, send.messageId) ? null : `[${send.message}]`;
  const stored: NewEvent = { kind: event.kind, payload: toPublic(row.dialect, event.payload, map), hidden };
  const fold = emptyFold(row.dialect, { taskId, contextId: agentContextId });
  foldEvent(fold, stored);
  const head = foldHead(fold);
  const ends = ids.ending !== null || (event.kind !== "artifact" && isAtRest(head.state));
  const creation = {
    turnId: row.id,
    epoch: row.epoch,
    task: { taskId, contextId: agentContextId, agentTaskId: event.taskId, agentContextId, dialect: row.dialect },
    events: [stored],
    head: { state: head.state, statusTimestamp: head.statusTimestamp, contextId: agentContextId },
    snapshot: null,
    end: ends ? { turnId: row.id, state: "done" as const, reply: ids.ending?.reply ?? null } : null,
    ...(turn.journaled ? { turn: turn.journaled } : {}),
  };
  return { creation, fold, ids: map, event: stored };
}

type Draft = ReturnType<typeof draftCreation>;

const FEED_HOLD_MS = 1_000;

function announceCreation(context: FlowContext, recorder: TaskRecorder, draft: Draft, promoted: string | null): void {
  const { event, creation } = draft;
  const { taskId, epoch } = recorder;
  const terminal = creation.end !== null && recorder.state !== "input-required" && isAtRest(recorder.state);
  // Whoever waits here for the turn opens the task's feed in a moment: held open until then, it has the first events in
  // memory, and none of them is read back.
  const held = creation.end === null && context.board.isWatched(creation.turnId) ? context.feeds.open(taskId) : null;
  if (held) void context.clock.sleep(FEED_HOLD_MS).then(() => held.close());
  context.feeds.committed(taskId, [{ generation: 1, epoch, kind: event.kind, payload: event.payload, terminal }]);
  context.metrics.eventsRecorded(1);
  if (creation.end) {
    context.metrics.turnEnded("done");
    context.board.announce(creation.turnId, {
      kind: "ended",
      state: "done",
      taskId,
      firstGeneration: 1,
      lastGeneration: 1,
      reply: creation.end.reply,
      onlyTask: event.kind === "task" ? event.payload : null,
    });
  } else {
    context.board.announce(creation.turnId, { kind: "bound", taskId, firstGeneration: 1 });
  }
  if (promoted) context.startTurn(promoted);
}
