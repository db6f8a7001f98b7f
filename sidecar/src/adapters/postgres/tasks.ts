import {
  type AppendOutcome,
  type CreateOutcome,
  type EventKind,
  type ListPage,
  type ListQuery,
  StoreError,
  type TaskCreation,
  type TaskStore,
  type TaskView,
  type TaskWrite,
} from "../../ports/task-store.ts";
import { appendLoosely } from "./append.ts";
import { reading, type Scope, writing } from "./scope.ts";
import { countTasks } from "./sql/count-tasks.ts";
import { type CreationRecord, createTask, findCreation } from "./sql/create-task.ts";
import { listTasks } from "./sql/list-tasks.ts";
import { readEvents } from "./sql/read-events.ts";
import { readPositions } from "./sql/read-positions.ts";
import { readTask } from "./sql/read-task.ts";
import { readView } from "./sql/read-view.ts";
import { restoreTurn } from "./sql/restore-turn.ts";
import { type SettleRecord, settleWrites } from "./sql/settle-writes.ts";
import { taskRowOf } from "./sql/task-columns.ts";
import type { ViewRecord } from "./sql/view-rows.ts";
import { violatedIndex } from "./sqlstate.ts";

/** The part of the store that deals with tasks and their events. */
export type TaskLog = Pick<
  TaskStore,
  | "createTask"
  | "append"
  | "settle"
  | "readTask"
  | "readView"
  | "readEvents"
  | "readPositions"
  | "listTasks"
  | "countTasks"
>;

/** Tasks and events in Postgres. */
export function taskLog(scope: Scope): TaskLog {
  const { prisma, agent } = scope;
  return {
    createTask: (creation) => writing(() => create(scope, creation)),
    append: (writes) => writing(() => append(scope, writes)),
    settle: (writes) =>
      reading(async () => {
        const records = await settleWrites(prisma, agent, writes);
        return records.map((record) => settled(writes[record.number] as TaskWrite, record));
      }),
    readTask: (taskId) =>
      reading(async () => {
        const [record] = await readTask(prisma, agent, taskId);
        return record === undefined ? null : taskRowOf(record);
      }),
    readView: (taskId) => reading(async () => viewsOf(await readView(prisma, agent, taskId))[0] ?? null),
    readEvents: (taskId, after, limit, maxBytes) =>
      reading(() => readEvents(prisma, agent, { taskId, after, limit, maxBytes })),
    readPositions: (taskIds) => reading(() => readPositions(prisma, agent, taskIds)),
    listTasks: (query) => reading(() => list(scope, query)),
    countTasks: () => reading(() => countTasks(prisma, agent)),
  };
}

async function create(scope: Scope, creation: TaskCreation): Promise<CreateOutcome> {
  let record = await tryCreate(scope, creation);
  const { turn, epoch } = creation;
  if (record !== "id-taken" && !record.turnExists && turn !== undefined) {
    if ((await restoreTurn(scope.prisma, scope.agent, turn, epoch)) > 0) record = await tryCreate(scope, creation);
  }
  if (record !== "id-taken" && record.epoch !== null) {
    return { kind: "created", epoch: record.epoch, promoted: null };
  }
  // A creation whose reply was lost may have run on, and this one may have waited for it: then it judges by a picture in
  // which nothing was created yet. A statement of its own sees what is there.
  const { taken, mine } = await findCreation(scope.prisma, scope.agent, creation);
  if (mine) return { kind: "created", epoch: epoch + 1, promoted: null };
  return { kind: taken || record === "id-taken" ? "id-taken" : "deposed" };
}

/** What two creations of one id run into when neither saw the other: the task's key, or its turn in flight. */
const TAKEN_INDEXES = new Set(["task_pkey", "turn_in_flight_idx"]);

async function tryCreate(scope: Scope, creation: TaskCreation): Promise<CreationRecord | "id-taken"> {
  const settings = { agent: scope.agent, windowSeconds: scope.idempotencyWindowSeconds };
  try {
    const [record] = await createTask(scope.prisma, settings, creation);
    return record ?? { epoch: null, turnExists: false };
  } catch (error) {
    if (TAKEN_INDEXES.has(violatedIndex(error) ?? "")) return "id-taken";
    throw error;
  }
}

async function append(scope: Scope, writes: TaskWrite[]): Promise<AppendOutcome[]> {
  if (new Set(writes.map((write) => write.taskId)).size < writes.length) {
    throw new StoreError("rejected", "one statement takes one write per task");
  }
  return appendLoosely(scope, writes);
}

/** What the rows in the place of a write say about it: only its own epoch can have filled them. */
function settled(write: TaskWrite, record: SettleRecord): "committed" | "unsent" | "fenced" {
  if (write.events.length > 0 && record.lastEpoch === write.epoch) return "committed";
  if (record.epoch !== write.epoch) return "fenced";
  if (write.events.length === 0 && (write.end === null || record.turnEnded === true)) return "committed";
  return record.generation === write.expected ? "unsent" : "fenced";
}

async function list(scope: Scope, query: ListQuery): Promise<ListPage> {
  const records = await listTasks(scope.prisma, scope.agent, query);
  const views = viewsOf(records);
  const totalSize = Math.max(0, ...records.map((record) => record.total));
  return { views: views.slice(0, query.pageSize), totalSize, more: views.length > query.pageSize };
}

function viewsOf(records: ViewRecord[]): TaskView[] {
  const views: TaskView[] = [];
  for (const record of records) {
    const {
      position: _,
      total: __,
      snapshot,
      snapshotGeneration,
      eventGeneration,
      kind,
      payload,
      hidden,
      ...rest
    } = record;
    const { eventEpoch, eventAttempt, taskId, ...task } = rest;
    if (taskId === null) continue;
    if (eventGeneration === null) {
      const stored = snapshot === null ? null : { generation: snapshotGeneration ?? 0, task: snapshot };
      views.push({ task: taskRowOf({ ...task, taskId }), snapshot: stored, tail: [] });
    } else {
      const event = { generation: eventGeneration, epoch: eventEpoch, attempt: eventAttempt, payload, hidden };
      views.at(-1)?.tail.push({ ...event, kind: kind as EventKind });
    }
  }
  return views;
}
