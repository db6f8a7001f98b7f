/** The rows of the record in memory, and how they look through the port. */
import { isTerminal } from "../../domain/task-state.ts";
import {
  type CancelMark,
  type EventRow,
  type NewEvent,
  type NewTurn,
  StoreError,
  type TaskRow,
  type TaskWrite,
  type TurnEnd,
  type TurnRow,
} from "../../ports/task-store.ts";

/** A task with its log. */
export interface MemoryTask extends Omit<TaskRow, "ownerAlive" | "cancel"> {
  cancel: CancelMark | null;
  events: EventRow[];
  snapshot: { generation: number; task: string } | null;
  finishedAtMs: number | null;
}

/** A turn with what the port does not show. */
export interface MemoryTurn extends Omit<TurnRow, "instanceAlive"> {
  dedupeKey: string | null;
  released: boolean;
  endedAtMs: number | null;
  expiresAtMs: number | null;
}

/** A turn as it is inserted. */
export function turnOf(turn: NewTurn, state: TurnRow["state"]): MemoryTurn {
  const { self: _, ...row } = turn;
  return {
    ...row,
    state,
    epoch: 1,
    attempt: 1,
    handovers: 0,
    reply: null,
    firstGeneration: null,
    lastGeneration: null,
    released: false,
    endedAtMs: null,
    expiresAtMs: null,
  };
}

/** Neither done nor failed. */
export function isLive(turn: MemoryTurn): boolean {
  return turn.state !== "done" && turn.state !== "failed";
}

/** At the agent or on its way there, and nobody of the same task may be beside it. */
export function holdsQueue(turn: MemoryTurn): boolean {
  return isLive(turn) && turn.state !== "queued" && !turn.aside && !turn.released;
}

/** Ends a turn; `lastGeneration` counts only for one that recorded something. */
export function endMemoryTurn(
  turn: MemoryTurn,
  end: Pick<TurnEnd, "state" | "reply">,
  { lastGeneration, nowMs, expiresAtMs }: { lastGeneration: number; nowMs: number; expiresAtMs: number },
): void {
  turn.state = end.state;
  turn.reply = end.reply;
  turn.headers = null;
  turn.endedAtMs = nowMs;
  turn.expiresAtMs = expiresAtMs;
  if (turn.firstGeneration !== null) turn.lastGeneration = lastGeneration;
  else if (end.reply?.kind === "error") turn.dedupeKey = null;
}

/** Whether the turn ended just so: its first reply may have been lost. */
export function isSameEnd(turn: MemoryTurn, end: Pick<TurnEnd, "state" | "reply">): boolean {
  return turn.state === end.state && JSON.stringify(turn.reply) === JSON.stringify(end.reply);
}

/** Whether nothing changes the task any more (P6). */
export function isFinished(task: MemoryTask): boolean {
  return isTerminal(task.state);
}

/** Events as they stand in the log. */
export function numbered(
  events: NewEvent[],
  { after, ...lease }: { after: number; epoch: number; attempt: number },
): EventRow[] {
  return events.map((event, index) => ({ ...event, generation: after + index + 1, ...lease }));
}

/** Text in Postgres holds no NUL; a store that took one would not be the same record. Throws `rejected`. */
export function refusePoison(events: NewEvent[]): void {
  if (events.some((event) => event.payload.includes("\0") || event.hidden?.includes("\0"))) {
    throw new StoreError("rejected", "a payload holds a NUL character");
  }
}

/** What the rows in the place of a write say about it: only its own epoch can have filled them. */
export function settledAs(
  write: TaskWrite,
  { task, turn }: { task: MemoryTask | undefined; turn: MemoryTurn | undefined },
): "committed" | "unsent" | "fenced" {
  const last = task?.events[write.expected + write.events.length - 1];
  if (write.events.length > 0 && last?.epoch === write.epoch) return "committed";
  if (task?.epoch !== write.epoch) return "fenced";
  const ended = write.end === null || (turn !== undefined && !isLive(turn));
  if (write.events.length === 0 && ended) return "committed";
  return task.generation === write.expected ? "unsent" : "fenced";
}

/** One statement takes one write per task. Throws `rejected`. */
export function refuseTwins(writes: TaskWrite[]): void {
  if (new Set(writes.map((write) => write.taskId)).size < writes.length) {
    throw new StoreError("rejected", "one statement takes one write per task");
  }
}
