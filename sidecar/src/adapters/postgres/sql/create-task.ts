import type { PrismaClient } from "../../../generated/client.ts";
import type { TaskCreation } from "../../../ports/task-store.ts";
import { isTerminal } from "../../../domain/task-state.ts";
import { type AppendSettings, eventColumnsOf } from "./append-columns.ts";
import { instantOf } from "./task-columns.ts";
import { replyColumnsOf } from "./turn-columns.ts";

/** What a creation did; no epoch: nothing. */
export interface CreationRecord {
  epoch: number | null;
  turnExists: boolean;
}

/** Whether a task has the id (`taken`), and whether this very turn and epoch created it (`mine`). */
export interface FoundCreation {
  mine: boolean;
  taken: boolean;
}

/**
 * Moves the turn from dispatched to bound (or its end) where its epoch is the caller's, and only then inserts the task
 * and its events (I2). Nothing is moved when the task id is taken. Two creations of the same id at once: one of them
 * raises a unique violation, and nothing of it is stored.
 */
export async function createTask(
  prisma: PrismaClient,
  { agent, windowSeconds }: AppendSettings,
  creation: TaskCreation,
): Promise<CreationRecord[]> {
  const { task, head, end, snapshot, turnId, epoch } = creation;
  const count = creation.events.length;
  const reply = replyColumnsOf(end?.reply);
  const ends = end !== null;
  const events = eventColumnsOf(
    [{ taskId: task.taskId, epoch, expected: 0, attempt: 0, events: creation.events }],
    [0],
  );
  return prisma.$queryRaw`
    with bound as (
      update turn u set
        state = ${end?.state ?? "bound"},
        task_id = ${task.taskId},
        context_id = ${task.contextId},
        first_generation = 1,
        last_generation = case when ${ends}::boolean then ${count}::integer end,
        reply_kind = ${reply.kind}::text,
        reply_status = ${reply.status}::integer,
        reply_headers = ${reply.headers}::text,
        reply_body = ${reply.body}::text,
        headers = case when ${ends}::boolean then null else u.headers end,
        ended_at = case when ${ends}::boolean then now() end,
        expires_at = case when ${ends}::boolean then now() + make_interval(secs => ${windowSeconds}::integer) end
      where u.agent = ${agent} and u.id = ${turnId} and u.state = 'dispatched' and u.task_id is null
        and u.epoch = ${epoch}::integer
        and not exists (select 1 from task where agent = ${agent} and id = ${task.taskId})
      returning u.tenant, u.caller, u.instance, u.epoch, u.attempt
    ),
    created as (
      insert into task (
        agent, tenant, id, context_id, caller, dialect, state, status_timestamp, generation, snapshot,
        snapshot_generation, owner, epoch, attempt, agent_task_id, agent_context_id, finished_at
      )
      select
        ${agent}, b.tenant, ${task.taskId}, ${task.contextId}, b.caller, ${task.dialect}, ${head.state},
        ${instantOf(head.statusTimestamp)}::timestamptz, ${count}::integer, ${snapshot?.task ?? null}::text,
        case when ${snapshot !== null}::boolean then ${count}::integer end, b.instance, b.epoch + 1, b.attempt,
        ${task.agentTaskId}, ${task.agentContextId}, case when ${isTerminal(head.state)}::boolean then now() end
      from bound b
      returning epoch, attempt
    ),
    recorded as (
      insert into task_event (agent, task_id, generation, epoch, attempt, kind, payload, hidden)
      select ${agent}, ${task.taskId}, e.generation, c.epoch, c.attempt, e.kind, e.payload, e.hidden
      from created c
      cross join unnest(
        ${events.generation}::integer[], ${events.kind}::text[], ${events.payload}::text[], ${events.hidden}::text[]
      ) as e (generation, kind, payload, hidden)
    )
    select
      (select epoch from created) as epoch,
      exists (select 1 from turn where agent = ${agent} and id = ${turnId}) as "turnExists"`;
}

/** Looks for what a creation would have left. */
export async function findCreation(
  prisma: PrismaClient,
  agent: string,
  { task: { taskId }, turnId, epoch }: Pick<TaskCreation, "task" | "turnId" | "epoch">,
): Promise<FoundCreation> {
  const rows: FoundCreation[] = await prisma.$queryRaw`
    select
      exists (
        select 1 from turn u join task t on t.agent = u.agent and t.id = u.task_id
        where u.agent = ${agent} and u.id = ${turnId} and u.task_id = ${taskId} and u.first_generation = 1
          and t.epoch = ${epoch}::integer + 1
      ) as mine,
      exists (select 1 from task where agent = ${agent} and id = ${taskId}) as taken`;
  return rows[0] ?? { mine: false, taken: false };
}
