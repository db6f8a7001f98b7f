import { Prisma, type PrismaClient } from "../../../generated/client.ts";
import { leaseRuns, liveStates } from "./fragments.ts";

/**
 * Ends what nobody answers any more as failed: calls, and messages whose task is finished, which nobody claims. It waits for
 * no lock: what is ending by itself at this moment is left to that. Returns their ids.
 */
export async function failOrphans(
  prisma: PrismaClient,
  { agent, windowSeconds }: { agent: string; windowSeconds: number },
  holders: Prisma.Sql,
): Promise<{ id: string }[]> {
  return prisma.$queryRaw`
    with orphaned as materialized (
      select u.id
      from turn u
      where u.agent = ${agent} and u.state in ${liveStates} and u.instance = any (array(${holders}))
        and (
          u.purpose = 'call'
          or exists (select 1 from task t where t.agent = ${agent} and t.id = u.task_id and t.finished_at is not null)
        )
      for update skip locked
    )
    update turn u set
      state = 'failed', headers = null, ended_at = now(),
      expires_at = now() + make_interval(secs => ${windowSeconds}::integer)
    from orphaned o
    where u.agent = ${agent} and u.id = o.id
    returning u.id`;
}

/**
 * Of these instances, those that are gone: without a row, with a lease that has run out, or followed by a younger process
 * of their pod.
 */
export function goneInstances(agent: string, ids: string[]): Prisma.Sql {
  return Prisma.sql`
    select g.id
    from unnest(${ids}::text[]) as g (id)
    left join instance i on i.agent = ${agent} and i.id = g.id
    where i.id is null or not ${leaseRuns} or (
      i.pod_uid <> '' and exists (
        select 1 from instance y
        where y.agent = ${agent} and y.pod_uid = i.pod_uid and y.seq > i.seq
      )
    )`;
}
