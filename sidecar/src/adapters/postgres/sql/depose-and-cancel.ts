import type { PrismaClient } from "../../../generated/client.ts";
import type { TaskWrite } from "../../../ports/task-store.ts";
import { type AppendSettings, eventColumnsOf } from "./append-columns.ts";
import { instantOf } from "./task-columns.ts";

/** The new epoch and the turns that ended; `again` as in {@link AppendRecord}. */
export interface DeposeRecord {
  again: boolean;
  epoch: number;
  ended: string[] | null;
}

/**
 * Takes the task from its owner and records the canceled status, where the cancel mark is still untaken. Every turn of
 * the task ends: the one at the agent as done, those behind it as failed. No row: it moved meanwhile.
 */
export async function deposeAndCancel(
  prisma: PrismaClient,
  { agent, windowSeconds }: AppendSettings,
  write: TaskWrite & { self: string },
): Promise<DeposeRecord[]> {
  const { taskId, head, snapshot } = write;
  const events = eventColumnsOf([write], [0]);
  const count = write.events.length;
  return prisma.$queryRaw`
    with seen as materialized (
      select queue_version from task where agent = ${agent} and id = ${taskId}
    ),
    locked as materialized (
      select t.id, t.epoch + 1 as epoch, t.generation as base, t.queue_version
      from task t
      where t.agent = ${agent} and t.id = ${taskId} and t.epoch = ${write.epoch}::integer
        and t.generation = ${write.expected}::integer and t.finished_at is null
        and t.cancel_requested_at is not null and t.cancel_taken_at is null
      for update
    ),
    held as materialized (
      select l.* from locked l join seen on seen.queue_version = l.queue_version
    ),
    moved as (
      update task t set
        owner = ${write.self},
        epoch = h.epoch,
        generation = h.base + ${count}::integer,
        state = ${head.state},
        status_timestamp = ${instantOf(head.statusTimestamp)}::timestamptz,
        context_id = ${head.contextId},
        snapshot = coalesce(${snapshot?.task ?? null}::text, t.snapshot),
        snapshot_generation = case
          when ${snapshot !== null}::boolean then h.base + ${count}::integer else t.snapshot_generation
        end,
        queue_version = t.queue_version + 1,
        cancel_requested_at = null, cancel_taken_at = null, cancel_headers = null, cancel_error = null,
        updated_at = now(),
        finished_at = now()
      from held h
      where t.agent = ${agent} and t.id = h.id
    ),
    recorded as (
      insert into task_event (agent, task_id, generation, epoch, attempt, kind, payload, hidden)
      select ${agent}, h.id, e.generation, h.epoch, ${write.attempt}::integer, e.kind, e.payload, e.hidden
      from held h
      cross join unnest(
        ${events.generation}::integer[], ${events.kind}::text[], ${events.payload}::text[], ${events.hidden}::text[]
      ) as e (generation, kind, payload, hidden)
    ),
    ended as (
      update turn u set
        state = case when u.state = 'bound' then 'done' else 'failed' end,
        last_generation = case when u.first_generation is null then null else h.base + ${count}::integer end,
        headers = null,
        ended_at = now(),
        expires_at = now() + make_interval(secs => ${windowSeconds}::integer)
      from held h
      where u.agent = ${agent} and u.task_id = h.id
        and u.state in ('queued', 'journaled', 'dispatched', 'bound')
      returning u.id
    )
    select h.id is null as again, l.epoch, (select array_agg(id) from ended) as ended
    from locked l left join held h on h.id = l.id`;
}
