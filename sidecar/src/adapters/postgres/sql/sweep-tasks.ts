import type { PrismaClient } from "../../../generated/client.ts";

/** Most event rows of one sweep, unless the first task alone has more: a statement that deletes millions holds its locks too long. */
const MOST_EVENTS = 50_000;

/**
 * Deletes tasks that finished longer ago than the retention, oldest first, with everything that hangs on them (P12). A task
 * somebody is at is left for the next time. Returns how many.
 */
export async function sweepTasks(
  prisma: PrismaClient,
  agent: string,
  { retentionSeconds, limit }: { retentionSeconds: number; limit: number },
): Promise<number> {
  const rows: { count: number }[] = await prisma.$queryRaw`
    with oldest as materialized (
      select t.id, t.generation, t.queue_version, t.finished_at
      from task t
      where t.agent = ${agent} and t.finished_at <= now() - make_interval(secs => ${retentionSeconds}::integer)
      order by t.finished_at
      limit ${limit}
    ),
    measured as materialized (
      select id, queue_version, sum(generation) over (order by finished_at, id) - generation as events_before
      from oldest
    ),
    locked as materialized (
      select t.id
      from measured m
      join task t on t.agent = ${agent} and t.id = m.id
      where m.events_before < ${MOST_EVENTS}::integer and t.queue_version = m.queue_version
      for update of t skip locked
    ),
    events as (
      delete from task_event e using locked l where e.agent = ${agent} and e.task_id = l.id
    ),
    turns as (
      delete from turn u using locked l where u.agent = ${agent} and u.task_id = l.id and u.ended_at is not null
    ),
    live_turns as (
      delete from turn u using locked l
      where u.agent = ${agent} and u.task_id = l.id and u.state in ('queued', 'journaled', 'dispatched', 'bound')
    ),
    deliveries as (
      delete from push_delivery d using locked l where d.agent = ${agent} and d.task_id = l.id
    ),
    configs as (
      delete from push_config c using locked l where c.agent = ${agent} and c.task_id = l.id
    ),
    tasks as (
      delete from task t using locked l where t.agent = ${agent} and t.id = l.id returning t.id
    )
    select count(*)::integer as count from tasks`;
  return rows[0]?.count ?? 0;
}
