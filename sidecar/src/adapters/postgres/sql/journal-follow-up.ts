import type { PrismaClient } from "../../../generated/client.ts";
import type { TaskState } from "../../../domain/task-state.ts";
import type { NewTurn, TurnState } from "../../../ports/task-store.ts";
import { isAlive, terminalStates } from "./fragments.ts";

/**
 * What became of a follow-up. `again`: the statement waited for the task's lock while the set of its turns changed, so
 * it judged by an old picture and has to run again. `clash`: its id or key was inserted meanwhile by somebody else.
 */
export interface FollowUpRecord {
  verdict: "inserted" | "clash" | "again" | "joined" | "terminal";
  joinedId: string | null;
  taskState: TaskState;
  turnState: TurnState;
  contextId: string;
  owner: string;
  ownerAlive: boolean;
  epoch: number;
}

/**
 * Inserts a turn for an existing task, under the task's lock. A message to a task whose owner is gone is nobody's: whoever
 * claims the task takes it with it. No row: the caller has no such task (P9).
 */
export async function journalFollowUp(
  prisma: PrismaClient,
  agent: string,
  turn: NewTurn & { taskId: string },
): Promise<FollowUpRecord[]> {
  return prisma.$queryRaw`
    with seen as materialized (
      select queue_version from task where agent = ${agent} and id = ${turn.taskId}
    ),
    locked as materialized (
      select t.id, t.state, t.context_id, t.owner, t.epoch, t.queue_version
      from task t
      where t.agent = ${agent} and t.id = ${turn.taskId} and t.tenant = ${turn.tenant} and t.caller = ${turn.caller}
      for update
    ),
    same as materialized (
      select u.id from turn u
      where u.agent = ${agent} and u.tenant = ${turn.tenant} and u.caller = ${turn.caller}
        and u.dedupe_key = ${turn.dedupeKey}::text and (u.expires_at is null or u.expires_at > now())
    ),
    judged as materialized (
      select
        l.*,
        ${isAlive} is true as owner_alive,
        case
          when seen.queue_version <> l.queue_version then 'again'
          when exists (select 1 from same) then 'joined'
          when l.state in ${terminalStates} and ${turn.purpose} = 'send' then 'terminal'
          else 'inserted'
        end as verdict,
        case
          when not ${turn.aside}::boolean and exists (
            select 1 from turn u
            where u.agent = ${agent} and u.task_id = l.id and not u.aside and not u.released
              and u.state in ('queued', 'journaled', 'dispatched', 'bound')
          ) then 'queued'
          when l.owner = ${turn.self} and ${isAlive} then 'dispatched'
          else 'journaled'
        end as turn_state
      from locked l
      cross join seen
      left join instance i on i.agent = ${agent} and i.id = l.owner
    ),
    inserted as (
      insert into turn (
        id, agent, tenant, caller, purpose, dialect, method, path, body, headers, context_id, task_id, instance, state,
        aside, dedupe_key
      )
      select
        ${turn.id}, ${agent}, ${turn.tenant}, ${turn.caller}, ${turn.purpose}, ${turn.dialect}, ${turn.method},
        ${turn.path}, ${turn.body}, ${turn.headers}::bytea, coalesce(${turn.contextId}::text, j.context_id), j.id,
        case when j.owner_alive then j.owner when ${turn.purpose} = 'call' then ${turn.self} else '' end, j.turn_state, ${turn.aside}::boolean,
        ${turn.dedupeKey}::text
      from judged j
      where j.verdict = 'inserted'
      on conflict do nothing
      returning task_id
    ),
    marked as (
      update task t set queue_version = t.queue_version + 1
      from inserted
      where t.agent = ${agent} and t.id = inserted.task_id
    )
    select
      case when j.verdict = 'inserted' and not exists (select 1 from inserted) then 'clash' else j.verdict end as verdict,
      (select id from same) as "joinedId",
      j.state as "taskState", j.turn_state as "turnState",
      coalesce(${turn.contextId}::text, j.context_id) as "contextId",
      j.owner, j.owner_alive as "ownerAlive", j.epoch
    from judged j`;
}
