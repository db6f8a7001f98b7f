/** Who may be claimed from: common table expressions the claiming statements share. */
import { Prisma } from "../../../generated/client.ts";
import type { ClaimRequest } from "../../../ports/recovery-store.ts";
import { leaseRuns, liveStates } from "./fragments.ts";

/** Who claims, and what it leaves in the rows. */
export interface Claimer {
  agent: string;
  self: string;
  selfPodUid: string;
  /** Left in every row that is taken; the rows are read back by it. */
  receipt: string;
}

/**
 * `silent` (id): the given instances whose lease has run out, and the earlier processes of the claimer's pod. Their rows
 * stay locked, so that a renewal comes wholly before the claim, which then leaves that instance alone, or wholly after it.
 */
export function silentInstances(
  { agent, self, selfPodUid }: Claimer,
  { from, predecessors }: ClaimRequest,
): Prisma.Sql {
  return Prisma.sql`
    silent as materialized (
      select i.id
      from instance i
      where i.agent = ${agent} and i.id <> ${self}
        and (
          (i.id = any(${from}::text[]) and not ${leaseRuns})
          or (
            i.id = any(${predecessors}::text[]) and i.pod_uid = ${selfPodUid} and i.pod_uid <> ''
            and i.seq < (select me.seq from instance me where me.agent = ${agent} and me.id = ${self})
          )
        )
      for share skip locked
    )`;
}

/**
 * `holders` (holder): who holds turns that have not ended, and `owners` (holder): who owns tasks an agent works on. Both
 * jump from one distinct value to the next in an index, however many rows each has. Recursive.
 */
export function distinctHolders(agent: string): { turns: Prisma.Sql; tasks: Prisma.Sql } {
  return {
    turns: Prisma.sql`
    holders (holder) as (
      (
        select instance from turn where agent = ${agent} and state in ${liveStates} order by instance limit 1
      )
      union all
      select (
        select u.instance from turn u
        where u.agent = ${agent} and u.state in ${liveStates} and u.instance > h.holder
        order by u.instance limit 1
      )
      from holders h where h.holder is not null
    )`,
    tasks: Prisma.sql`
    owners (holder) as (
      (
        select owner from task
        where agent = ${agent} and finished_at is null and state <> 'input-required'
        order by owner limit 1
      )
      union all
      select (
        select t.owner from task t
        where t.agent = ${agent} and t.finished_at is null and t.state <> 'input-required' and t.owner > o.holder
        order by t.owner limit 1
      )
      from owners o where o.holder is not null
    )`,
  };
}

/** Of a set of holders, those that are silent or whose row is gone; an empty holder has no row. */
export function goneHolders({ agent, self }: Claimer, holders: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    gone as materialized (
      select h.holder
      from ${holders} h
      left join instance i on i.agent = ${agent} and i.id = h.holder
      where h.holder <> ${self} and (i.id is null or i.id in (select id from silent))
    )`;
}
