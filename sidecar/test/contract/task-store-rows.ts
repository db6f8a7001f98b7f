/** Rows for tests of the record: complete, with only what a test is about said by the test. */
import { randomUUID } from "node:crypto";
import type { TaskState } from "../../src/domain/task-state.ts";
import type { NewEvent, NewTurn, TaskCreation, TaskStore, TaskWrite } from "../../src/ports/task-store.ts";

export const LEASE_MS = 60_000;

export function newTurn(turn: Partial<NewTurn> = {}): NewTurn {
  return {
    id: randomUUID(),
    purpose: "send",
    tenant: "",
    caller: "",
    dialect: "1.0",
    method: "SendMessage",
    path: "/",
    body: '{"jsonrpc":"2.0"}',
    headers: Uint8Array.of(0, 255, 7),
    contextId: null,
    taskId: null,
    instance: "a",
    self: "a",
    aside: false,
    dedupeKey: null,
    ...turn,
  };
}

export function statusEvent(text = "{}"): NewEvent {
  return { kind: "status", payload: text, hidden: null };
}

export function headOf(state: TaskState, statusTimestamp: string | null = null, contextId = "context") {
  return { state, statusTimestamp, contextId };
}

export function creationOf(turn: { id: string; epoch: number }, creation: Partial<TaskCreation> = {}): TaskCreation {
  const taskId = creation.task?.taskId ?? randomUUID();
  return {
    turnId: turn.id,
    epoch: turn.epoch,
    task: { taskId, contextId: "context", agentTaskId: taskId, agentContextId: "context", dialect: "1.0" },
    events: [{ kind: "task", payload: '{"task":{}}', hidden: null }],
    head: headOf("working"),
    snapshot: null,
    end: null,
    ...creation,
  };
}

export function taskNamed(taskId: string, contextId = "context"): TaskCreation["task"] {
  return { taskId, contextId, agentTaskId: taskId, agentContextId: contextId, dialect: "1.0" };
}

export function writeOf(taskId: string, expected: number, write: Partial<TaskWrite> = {}): TaskWrite {
  return {
    taskId,
    tenant: "",
    epoch: 2,
    attempt: 1,
    expected,
    events: [statusEvent()],
    head: headOf("working"),
    snapshot: null,
    end: null,
    firstOf: null,
    cancelAnswered: false,
    ...write,
  };
}

/** Journals a new message for instance `a`; fails when that is not an insert. */
export async function journaled(store: TaskStore, turn: Partial<NewTurn> = {}) {
  const outcome = await store.journal(newTurn(turn));
  if (outcome.kind !== "inserted") throw new Error(`journal: ${outcome.kind}`);
  return outcome.turn;
}

/** A task of instance `a` at generation 1, epoch 2, with its bound turn. */
export async function startTask(
  store: TaskStore,
  { turn = {}, ...creation }: Omit<Partial<TaskCreation>, "turn"> & { turn?: Partial<NewTurn> } = {},
) {
  const row = await journaled(store, turn);
  const wanted = creationOf(row, creation);
  const outcome = await store.createTask(wanted);
  if (outcome.kind !== "created") throw new Error(`createTask: ${outcome.kind}`);
  return { taskId: wanted.task.taskId, turnId: row.id, epoch: outcome.epoch };
}

/** Ends a turn as done together with one status event. */
export function endingWrite(taskId: string, expected: number, turnId: string, state: TaskState = "input-required") {
  return writeOf(taskId, expected, {
    head: headOf(state),
    end: { turnId, state: "done", reply: null },
  });
}

export const COMMITTED = { kind: "committed", promoted: null, failed: [], closed: [] };
