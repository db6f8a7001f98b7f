import type { PrismaClient } from "../../../generated/client.ts";
import type { AppendColumns, AppendSettings, EventColumns } from "./append-columns.ts";
import { inFlightStates, terminalStates } from "./fragments.ts";

/**
 * One row per write that was not fenced, by its number, and one more for each turn it promoted, failed or closed. `again`: it
 * waited for the task's lock while the set of the task's turns changed, so nothing of it was stored and it has to run
 * again.
 */
export interface AppendRecord {
  number: number;
  again: boolean;
  promoted: string | null;
  failed: string | null;
  closed: string | null;
}

/**
 * Appends events to many tasks, moves their heads, ends turns and promotes the next ones, all in one statement.
 *
 * - `locked` takes the row locks in key order, so that two of these statements never wait for each other in a circle.
 *   A task whose epoch, generation or state is not the expected one drops out here and raises nothing (I2, P6).
 * - `held` leaves out writes whose picture of the turns is older than the lock: under read committed a statement that
 *   waited sees the new version of the locked row, but of all other rows only what its snapshot saw.
 * - `failed` ends every other turn of a task that is terminal: what waited, what gave up the queue and was never taken up
 *   again, and what is at the agent, because nothing can be written for it any more. A message aside has its own reply.
 * - `promoted` reads `ended` row by row, so a turn has left the in-flight index before the next one enters it.
 * - Planning it takes longer than running it. The limit makes the plan for unknown arrays look as cheap as one for a
 *   single write, so that the server keeps it; in turn no step may be worse than linear whatever the arrays hold. Hence
 *   events bring their own key instead of joining their write, and `is true` keeps the subquery a hashed one.
 */
export async function appendEvents(
  prisma: PrismaClient,
  { agent, windowSeconds }: AppendSettings,
  writes: AppendColumns,
  events: EventColumns,
): Promise<AppendRecord[]> {
  return prisma.$queryRaw`
    with given as materialized (
      select *
      from unnest(
        ${writes.number}::integer[], ${writes.taskId}::text[], ${writes.epoch}::integer[],
        ${writes.expected}::integer[], ${writes.count}::integer[], ${writes.state}::text[],
        ${writes.statusTimestamp}::timestamptz[], ${writes.contextId}::text[], ${writes.snapshot}::text[],
        ${writes.turnId}::text[], ${writes.turnState}::text[], ${writes.replyKind}::text[],
        ${writes.replyStatus}::integer[], ${writes.replyHeaders}::text[], ${writes.replyBody}::text[],
        ${writes.firstOf}::text[], ${writes.settles}::boolean[], ${writes.cancelAnswered}::boolean[],
        ${writes.attempt}::integer[], ${writes.agentTaskId}::text[], ${writes.agentContextId}::text[]
      ) as w (
        number, task_id, epoch, expected, count, state, status_timestamp, context_id, snapshot,
        turn_id, turn_state, reply_kind, reply_status, reply_headers, reply_body, first_of, settles, cancel_answered,
        attempt, agent_task_id, agent_context_id
      )
      limit ${writes.number.length}
    ),
    seen as materialized (
      select w.*, t.queue_version as seen_version
      from given w left join task t on w.settles and t.agent = ${agent} and t.id = w.task_id
    ),
    locked as materialized (
      select
        w.*, t.generation as base, t.owner,
        coalesce(w.state, t.state) in ${terminalStates} as terminal,
        w.settles and w.seen_version is distinct from t.queue_version as again
      from seen w join task t on t.agent = ${agent} and t.id = w.task_id
      where t.epoch = w.epoch and t.generation = coalesce(w.expected, t.generation)
        and (t.finished_at is null or w.count = 0)
      order by t.id
      for update of t
    ),
    held as materialized (
      select * from locked where not again
    ),
    moved as (
      update task t set
        generation = h.base + h.count,
        state = coalesce(h.state, t.state),
        status_timestamp = case when h.state is null then t.status_timestamp else h.status_timestamp end,
        context_id = coalesce(h.context_id, t.context_id),
        attempt = case when h.agent_task_id is null then t.attempt else h.attempt end,
        agent_task_id = coalesce(h.agent_task_id, t.agent_task_id),
        agent_context_id = coalesce(h.agent_context_id, t.agent_context_id),
        snapshot = coalesce(h.snapshot, t.snapshot),
        snapshot_generation = case when h.snapshot is null then t.snapshot_generation else h.base + h.count end,
        queue_version = t.queue_version + h.settles::integer,
        cancel_requested_at = case when h.cancel_answered or h.terminal then null else t.cancel_requested_at end,
        cancel_taken_at = case when h.cancel_answered or h.terminal then null else t.cancel_taken_at end,
        cancel_headers = case when h.cancel_answered or h.terminal then null else t.cancel_headers end,
        cancel_error = case when h.cancel_answered or h.terminal then null else t.cancel_error end,
        updated_at = now(),
        finished_at = case when h.terminal then coalesce(t.finished_at, now()) end
      from held h
      where t.agent = ${agent} and t.id = h.task_id
    ),
    recorded as (
      insert into task_event (agent, task_id, generation, epoch, attempt, kind, payload, hidden)
      select ${agent}, e.task_id, e.generation, e.epoch, e.attempt, e.kind, e.payload, e.hidden
      from unnest(
        ${events.number}::integer[], ${events.taskId}::text[], ${events.generation}::integer[],
        ${events.epoch}::integer[], ${events.attempt}::integer[], ${events.kind}::text[], ${events.payload}::text[],
        ${events.hidden}::text[]
      ) as e (number, task_id, generation, epoch, attempt, kind, payload, hidden)
      where (e.number in (select h.number from held h)) is true
    ),
    ended as (
      update turn u set
        state = case when u.id is distinct from h.turn_id then 'bound' else coalesce(h.turn_state, u.state) end,
        released = u.released or (u.id is not distinct from h.turn_id and h.turn_state is null),
        first_generation = case when u.id = h.first_of then h.base + 1 else u.first_generation end,
        last_generation = case
          when u.id = h.turn_id and h.turn_state is not null and (u.first_generation is not null or u.id = h.first_of)
          then h.base + h.count else u.last_generation
        end,
        reply_kind = case when u.id = h.turn_id then h.reply_kind else u.reply_kind end,
        reply_status = case when u.id = h.turn_id then h.reply_status else u.reply_status end,
        reply_headers = case when u.id = h.turn_id then h.reply_headers else u.reply_headers end,
        reply_body = case when u.id = h.turn_id then h.reply_body else u.reply_body end,
        dedupe_key = case
          when u.id = h.turn_id and h.reply_kind = 'error' and u.first_generation is null
            and u.id is distinct from h.first_of
          then null else u.dedupe_key
        end,
        headers = case when u.id = h.turn_id and h.turn_state is not null then null else u.headers end,
        ended_at = case when u.id = h.turn_id and h.turn_state is not null then now() end,
        expires_at = case
          when u.id = h.turn_id and h.turn_state is not null
          then now() + make_interval(secs => ${windowSeconds}::integer)
        end
      from held h
      where u.agent = ${agent} and u.id = any (array[h.turn_id, h.first_of])
        and u.task_id = h.task_id and u.state in ('queued', 'journaled', 'dispatched', 'bound')
      returning u.id, h.number, h.turn_id, h.task_id, h.owner, h.terminal
    ),
    failed as (
      update turn u set
        state = case when u.released or u.state = 'bound' then 'done' else 'failed' end,
        last_generation = case when u.first_generation is null then null else h.base + h.count end,
        headers = null, ended_at = now(), expires_at = now() + make_interval(secs => ${windowSeconds}::integer)
      from held h
      where h.settles and h.terminal and u.agent = ${agent} and u.task_id = h.task_id and u.purpose = 'send'
        and (
          u.state in ('queued', 'journaled')
          or (u.state in ('dispatched', 'bound') and (u.released or not u.aside))
        )
        and u.id is distinct from h.turn_id and u.id is distinct from h.first_of
      returning u.id, h.number, u.released, u.state
    ),
    promoted as (
      update turn u set state = 'journaled', instance = e.owner
      from ended e
      where e.id = e.turn_id and not e.terminal
        and u.agent = ${agent} and u.task_id = e.task_id and u.state = 'queued'
        and u.seq = (
          select min(q.seq) from turn q
          where q.agent = ${agent} and q.task_id = e.task_id and q.state = 'queued' and q.id <> e.turn_id
        )
        and not exists (
          select 1 from turn o
          where o.agent = ${agent} and o.task_id = e.task_id and o.id <> e.turn_id
            and o.state in ${inFlightStates} and not o.aside and not o.released
        )
      returning u.id, e.number
    )
    select number, again, null as promoted, null as failed, null as closed from locked
    union all
    select number, false, id, null, null from promoted
    union all
    select number, false, null, case when state = 'failed' then id end, case when state = 'done' then id end
    from failed where not released`;
}
