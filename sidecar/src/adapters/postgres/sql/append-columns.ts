/** Writes turned on their side: one array per column, as `unnest` takes them. */
import type { EventKind, TaskWrite } from "../../../ports/task-store.ts";
import { instantOf } from "./task-columns.ts";
import { replyColumnsOf } from "./turn-columns.ts";
import { isTerminal } from "../../../domain/task-state.ts";

/** What the appending statements need besides the writes. */
export interface AppendSettings {
  agent: string;
  windowSeconds: number;
}

/**
 * A write as the statement takes it. `expected` null: whatever the generation is; `head` null: the head stays. A turn
 * of `end` null with `releases` set gives up the queue without ending.
 */
export type LooseWrite = Omit<TaskWrite, "expected" | "head" | "tenant"> & {
  expected: number | null;
  head: TaskWrite["head"] | null;
  releases?: string;
};

/** One array per column, one element per write. */
export interface AppendColumns {
  number: number[];
  taskId: string[];
  epoch: number[];
  expected: (number | null)[];
  count: number[];
  state: (string | null)[];
  statusTimestamp: (string | null)[];
  contextId: (string | null)[];
  snapshot: (string | null)[];
  turnId: (string | null)[];
  turnState: (string | null)[];
  replyKind: (string | null)[];
  replyStatus: (number | null)[];
  replyHeaders: (string | null)[];
  replyBody: (string | null)[];
  firstOf: (string | null)[];
  settles: boolean[];
  cancelAnswered: boolean[];
  attempt: number[];
  agentTaskId: (string | null)[];
  agentContextId: (string | null)[];
}

/** One array per column, one element per event; `number` names the write. */
export interface EventColumns {
  number: number[];
  taskId: string[];
  generation: number[];
  epoch: number[];
  attempt: number[];
  kind: EventKind[];
  payload: string[];
  hidden: (string | null)[];
}

/** Columns of the writes with these numbers. */
export function appendColumnsOf(writes: readonly LooseWrite[], numbers: readonly number[]): AppendColumns {
  const column = <T>(value: (write: LooseWrite) => T): T[] =>
    numbers.map((number) => value(writes[number] as LooseWrite));
  const replies = column((write) => replyColumnsOf(write.end?.reply));
  return {
    number: [...numbers],
    taskId: column((write) => write.taskId),
    epoch: column((write) => write.epoch),
    expected: column((write) => write.expected),
    count: column((write) => write.events.length),
    state: column((write) => write.head?.state ?? null),
    statusTimestamp: column((write) => instantOf(write.head?.statusTimestamp ?? null)),
    contextId: column((write) => write.head?.contextId ?? null),
    snapshot: column((write) => write.snapshot?.task ?? null),
    turnId: column((write) => write.end?.turnId ?? write.releases ?? null),
    turnState: column((write) => write.end?.state ?? null),
    replyKind: replies.map((reply) => reply.kind),
    replyStatus: replies.map((reply) => reply.status),
    replyHeaders: replies.map((reply) => reply.headers),
    replyBody: replies.map((reply) => reply.body),
    firstOf: column((write) => (write.events.length > 0 ? write.firstOf : null)),
    settles: column((write) => write.end !== null || write.releases !== undefined || isTerminalHead(write)),
    cancelAnswered: column((write) => write.cancelAnswered),
    attempt: column((write) => write.attempt),
    agentTaskId: column((write) => write.agentIds?.agentTaskId ?? null),
    agentContextId: column((write) => write.agentIds?.agentContextId ?? null),
  };
}

/** Columns of the events of the writes with these numbers. A write with events has its generation. */
export function eventColumnsOf(writes: readonly EventfulWrite[], numbers: readonly number[]): EventColumns {
  const columns: EventColumns = {
    number: [],
    taskId: [],
    generation: [],
    epoch: [],
    attempt: [],
    kind: [],
    payload: [],
    hidden: [],
  };
  for (const number of numbers) {
    const { taskId, epoch, expected, attempt, events } = writes[number] as EventfulWrite;
    events.forEach((event, index) => {
      columns.number.push(number);
      columns.taskId.push(taskId);
      columns.generation.push((expected ?? 0) + index + 1);
      columns.epoch.push(epoch);
      columns.attempt.push(attempt);
      columns.kind.push(event.kind);
      columns.payload.push(event.payload);
      columns.hidden.push(event.hidden);
    });
  }
  return columns;
}

type EventfulWrite = Pick<LooseWrite, "taskId" | "epoch" | "expected" | "attempt" | "events">;

function isTerminalHead(write: LooseWrite): boolean {
  return write.head !== null && isTerminal(write.head.state);
}
