import type { PrismaClient } from "../../../generated/client.ts";
import type { NewTurn } from "../../../ports/task-store.ts";
import { isAlive } from "./fragments.ts";

/**
 * Inserts a turn that names no task. No row: its id or its dedupe key is there already.
 *
 * The commit of a turn that its inserter runs does not wait for the disk: uniqueness holds at once, nothing is shown before
 * the first append, whose own synchronous commit flushes this record with it, and its inserter puts back what a crash of the
 * server took. A turn for another instance has nobody to put it back.
 */
export async function journalTurn(prisma: PrismaClient, agent: string, turn: NewTurn): Promise<{ alive: boolean }[]> {
  const state = turn.instance === turn.self ? "dispatched" : "journaled";
  return prisma.$queryRaw`
    with relaxed as materialized (
      select case
        when ${state === "dispatched"}::boolean then set_config('synchronous_commit', 'off', true)
        else current_setting('synchronous_commit')
      end as setting
    ),
    inserted as (
      insert into turn (
        id, agent, tenant, caller, purpose, dialect, method, path, body, headers, context_id, instance, state, aside,
        dedupe_key
      )
      select
        ${turn.id}, ${agent}, ${turn.tenant}, ${turn.caller}, ${turn.purpose}, ${turn.dialect}, ${turn.method},
        ${turn.path}, ${turn.body}, ${turn.headers}::bytea, ${turn.contextId}::text, ${turn.instance}, ${state},
        ${turn.aside}::boolean, ${turn.dedupeKey}::text
      from relaxed
      where relaxed.setting is not null
      on conflict do nothing
      returning instance
    )
    select ${isAlive} is true as alive
    from inserted
    left join instance i on i.agent = ${agent} and i.id = inserted.instance`;
}
