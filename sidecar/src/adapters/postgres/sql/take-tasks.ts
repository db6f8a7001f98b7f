import type { Prisma, PrismaClient } from "../../../generated/client.ts";
import type { Claimer } from "./claimable.ts";
import { inFlightStates, liveStates } from "./fragments.ts";

/** Which tasks, and what becomes of those that somebody else has locked. */
export interface TaskSelection {
  /** Common table expressions that end with `seen` (id, owner, epoch, queue_version, same_pod). */
  seen: Prisma.Sql;
  /** `skip locked` or nothing. */
  wait: Prisma.Sql;
  limit: number;
  windowSeconds: number;
}

/**
 * Takes the tasks in `seen` that did not move meanwhile, with their turns. Returns how many were seen and taken.
 *
 * - `locked` drops a task whose owner, epoch or queue changed after the statement's picture was taken (I2).
 * - `turns` reads the live turns under their own locks: a turn that its owner took a moment ago must not look as if no
 *   agent had ever had it.
 * - `main` is the turn in flight. One that no longer holds the queue counts only where none came after it; one aside only
 *   where it is alone. It holds the queue again.
 * - Of the others, what an agent has begun to answer is over: its answers are in the record and nobody goes on with them.
 *   What waits goes on waiting; a message forwarded aside, which the former agent took with it, waits with it.
 * - An answered cancel keeps its answer; one that was only taken can be taken again.
 */
export async function takeTasks(
  prisma: PrismaClient,
  { agent, self, receipt }: Claimer,
  { seen, wait, limit, windowSeconds }: TaskSelection,
): Promise<{ seen: number; taken: number }> {
  const rows: { seen: number; taken: number }[] = await prisma.$queryRaw`
    with recursive ${seen},
    locked as materialized (
      select t.id, t.generation, s.same_pod
      from seen s
      join task t on t.agent = ${agent} and t.id = s.id
      where t.owner = s.owner and t.epoch = s.epoch and t.queue_version = s.queue_version and t.finished_at is null
      limit ${limit}
      for no key update of t ${wait}
    ),
    turns as materialized (
      select u.id, u.task_id, u.seq, u.state, u.aside, u.released, l.generation, l.same_pod
      from locked l
      join turn u on u.agent = ${agent} and u.task_id = l.id and u.state in ${liveStates} and u.purpose = 'send'
      for update of u
    ),
    main as materialized (
      select distinct on (u.task_id) u.task_id, u.id
      from turns u
      where u.state in ${inFlightStates}
        and not (u.released and (
          exists (select 1 from turns o where o.task_id = u.task_id and o.seq > u.seq and not o.aside)
          or exists (
            select 1 from turn o
            where o.agent = ${agent} and o.task_id = u.task_id and o.ended_at is not null and o.seq > u.seq
              and not o.aside and o.purpose = 'send'
          )
        ))
      order by u.task_id, u.aside, u.released, u.seq
    ),
    next as materialized (
      select distinct on (u.task_id) u.task_id, u.id
      from turns u
      where u.state = 'queued' and not exists (select 1 from main m where m.task_id = u.task_id)
      order by u.task_id, u.seq
    ),
    roles as materialized (
      select
        u.*,
        case
          when u.id = m.id then 'main'
          when u.id = n.id then 'next'
          when u.state = 'bound' or u.released then 'over'
          else 'waiting'
        end as role
      from turns u
      left join main m on m.task_id = u.task_id
      left join next n on n.task_id = u.task_id
    ),
    changed as (
      update turn u set
        state = case r.role
          when 'next' then 'journaled'
          when 'over' then 'done'
          when 'waiting' then 'queued'
          else case when u.state = 'bound' then 'bound' else 'dispatched' end
        end,
        instance = ${self},
        attempt = u.attempt + (r.role in ('main', 'waiting') and u.state in ('dispatched', 'bound'))::integer,
        aside = u.aside and r.role = 'over',
        released = u.released and r.role = 'over',
        last_generation = case when r.role = 'over' and u.first_generation is not null then r.generation end,
        headers = case when r.role = 'over' then null else u.headers end,
        ended_at = case when r.role = 'over' then now() end,
        expires_at = case when r.role = 'over' then now() + make_interval(secs => ${windowSeconds}::integer) end,
        claim = case
          when r.role = 'main'
          then concat_ws(' ', ${receipt}::text, r.state, case when r.same_pod then 'same' else 'other' end)
        end
      from roles r
      where u.agent = ${agent} and u.id = r.id
      returning u.task_id, u.attempt, r.role
    ),
    moved as (
      update task t set
        owner = ${self},
        epoch = t.epoch + 1,
        queue_version = t.queue_version + 1,
        attempt = coalesce(
          (select c.attempt from changed c where c.task_id = l.id and c.role = 'main'), t.attempt
        ),
        agent_task_id = case when l.same_pod then t.agent_task_id else '' end,
        cancel_taken_at = case when t.cancel_error is null then null else t.cancel_taken_at end,
        claim = concat_ws(' ', ${receipt}::text, case when l.same_pod then 'same' else 'other' end),
        updated_at = now()
      from locked l
      where t.agent = ${agent} and t.id = l.id
      returning t.id
    )
    select (select count(*)::integer from seen) as seen, (select count(*)::integer from moved) as taken`;
  return rows[0] ?? { seen: 0, taken: 0 };
}
