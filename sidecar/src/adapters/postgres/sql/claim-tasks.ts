import { Prisma, type PrismaClient } from "../../../generated/client.ts";
import type { ClaimRequest } from "../../../ports/recovery-store.ts";
import { type Claimer, distinctHolders, goneHolders, silentInstances } from "./claimable.ts";
import { liveStates } from "./fragments.ts";
import { takeTasks } from "./take-tasks.ts";

/**
 * Takes unfinished tasks of owners that are gone and that need somebody: an agent was at work, or a turn has not ended. Of
 * the claimer's predecessors also those that wait for input: the agent here knows them. What another claimer holds at
 * this moment is left to it. Returns how many.
 *
 * More candidates are looked at than are wanted, because what other claimers hold is skipped. Their number is part of the
 * text and they are looked up holder by holder: otherwise the server plans to read all of an agent's tasks.
 */
export async function claimTasks(
  prisma: PrismaClient,
  claimer: Claimer,
  { request, windowSeconds }: { request: ClaimRequest; windowSeconds: number },
): Promise<number> {
  const { agent, selfPodUid } = claimer;
  const { turns, tasks } = distinctHolders(agent);
  const seen = Prisma.sql`
    ${tasks},
    ${turns},
    ${silentInstances(claimer, request)},
    ${goneHolders(claimer, Prisma.sql`(select holder from owners union select holder from holders)`)},
    working as materialized (
      select o.id
      from gone g
      cross join lateral (
        select t.id from task t
        where t.agent = ${agent} and t.owner = g.holder and t.finished_at is null and t.state <> 'input-required'
        limit 128
      ) o
      limit 128
    ),
    waiting as materialized (
      select o.task_id as id
      from gone g
      cross join lateral (
        select u.task_id from turn u
        where u.agent = ${agent} and u.instance = g.holder and u.state in ${liveStates} and u.purpose = 'send'
          and u.task_id is not null
        limit 128
      ) o
      limit 128
    ),
    inherited as materialized (
      select o.id
      from silent s
      cross join lateral (
        select t.id from task t
        where t.agent = ${agent} and t.owner = s.id and t.finished_at is null and t.state = 'input-required'
        limit 128
      ) o
      where s.id = any(${request.predecessors}::text[])
      limit 128
    ),
    seen as materialized (
      select
        t.id, t.owner, t.epoch, t.queue_version,
        coalesce(i.pod_uid = ${selfPodUid} and i.pod_uid <> '', false) as same_pod
      from (select id from working union select id from waiting union select id from inherited) c
      join task t on t.agent = ${agent} and t.id = c.id
      left join instance i on i.agent = ${agent} and i.id = t.owner
      where t.finished_at is null and (i.id is null or i.id in (select id from silent))
    )`;
  const selection = { seen, wait: Prisma.sql`skip locked`, limit: request.limit, windowSeconds };
  return (await takeTasks(prisma, claimer, selection)).taken;
}
