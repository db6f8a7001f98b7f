import { Prisma, type PrismaClient } from "../../../generated/client.ts";
import type { ClaimRequest } from "../../../ports/recovery-store.ts";
import { type Claimer, distinctHolders, goneHolders, silentInstances } from "./claimable.ts";

/**
 * Takes turns without a task whose holder is gone, oldest first: dispatched, one epoch on, and an attempt further where an
 * agent may have had them. What another claimer holds at this moment is left to it. Returns how many.
 */
export async function claimTurns(prisma: PrismaClient, claimer: Claimer, request: ClaimRequest): Promise<number> {
  const { agent, self, selfPodUid, receipt } = claimer;
  return prisma.$executeRaw`
    with recursive ${distinctHolders(agent).turns},
    ${silentInstances(claimer, request)},
    ${goneHolders(claimer, Prisma.sql`holders`)},
    locked as materialized (
      select u.id, u.state, coalesce(i.pod_uid = ${selfPodUid} and i.pod_uid <> '', false) as same_pod
      from turn u
      left join instance i on i.agent = u.agent and i.id = u.instance
      where u.agent = ${agent} and u.task_id is null and u.state in ('journaled', 'dispatched')
        and u.instance = any (array(select holder from gone))
      order by u.seq
      limit ${request.limit}
      for update of u skip locked
    )
    update turn u set
      state = 'dispatched',
      instance = ${self},
      epoch = u.epoch + 1,
      attempt = u.attempt + (l.state = 'dispatched')::integer,
      claim = concat_ws(' ', ${receipt}::text, l.state, case when l.same_pod then 'same' else 'other' end)
    from locked l
    where u.agent = ${agent} and u.id = l.id`;
}
