import { Prisma, type PrismaClient } from "../../../generated/client.ts";
import type { ReleasedRun } from "../../../ports/recovery-store.ts";
import { liveStates } from "./fragments.ts";

/**
 * One row per task or turn that was given up; `again`: its turns changed while it was waited for, nothing was done. Without
 * either id: a turn that had no task may have got one while it was waited for, and this statement does not see it.
 */
export interface ReleaseRecord {
  taskId: string | null;
  turnId: string | null;
  again: boolean;
}

/** What is given up: conditions on `t` (an unfinished task of the instance) and on `u` (a turn of it without a task). */
export interface Release {
  agent: string;
  instance: string;
  tasks: Prisma.Sql;
  turns: Prisma.Sql;
  run: ReleasedRun;
}

/**
 * Gives up tasks with all their turns, and turns without a task: nobody's, one epoch on, so that what the former owner
 * still sends is fenced (P5). What was at the agent counts a hand-over (P8).
 */
export async function releaseWork(
  prisma: PrismaClient,
  { agent, instance, tasks, turns, run }: Release,
): Promise<ReleaseRecord[]> {
  const unbound = Prisma.sql`
    u.agent = ${agent} and u.instance = ${instance} and u.task_id is null
      and u.state in ('journaled', 'dispatched') and ${turns}`;
  return prisma.$queryRaw`
    with seen as materialized (
      select t.id, t.queue_version
      from task t
      where t.agent = ${agent} and t.owner = ${instance} and t.finished_at is null and ${tasks}
    ),
    locked as materialized (
      select t.id, t.queue_version <> s.queue_version as again
      from seen s
      join task t on t.agent = ${agent} and t.id = s.id
      where t.owner = ${instance} and t.finished_at is null
      order by t.id
      for no key update of t
    ),
    bound as materialized (
      select u.id
      from locked l
      join turn u on u.agent = ${agent} and u.task_id = l.id and u.state in ${liveStates} and u.purpose = 'send'
      where not l.again
      for update of u
    ),
    begun as materialized (
      select u.id from turn u where ${unbound}
    ),
    unbound as materialized (
      select u.id from turn u where ${unbound}
      order by u.id
      for update
    ),
    freed as (
      update turn u set
        instance = '',
        epoch = u.epoch + (u.task_id is null)::integer,
        handovers = u.handovers + (${run === "handed-over"}::boolean and u.state in ('dispatched', 'bound'))::integer,
        state = case when ${run === "none"}::boolean and u.task_id is null then 'journaled' else u.state end
      where u.agent = ${agent} and u.id in (select id from bound union all select id from unbound)
      returning u.id
    ),
    moved as (
      update task t set
        owner = '',
        epoch = t.epoch + 1,
        queue_version = t.queue_version + 1,
        cancel_taken_at = case when t.cancel_error is null then null else t.cancel_taken_at end,
        updated_at = now()
      from locked l
      where t.agent = ${agent} and t.id = l.id and not l.again
      returning t.id
    )
    select id as "taskId", null as "turnId", false as again from moved
    union all
    select null, id, false from freed
    union all
    select id, null, true from locked where again
    union all
    (select null, null, true from begun where id not in (select id from unbound) limit 1)`;
}
