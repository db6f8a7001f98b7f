import type { PrismaClient } from "../../../generated/client.ts";
import { liveStates } from "./fragments.ts";

/** After an outage of the store all leases have run out: an instance gets this long to come back before it is forgotten. */
const LEAST_AGE_SECONDS = 3600;

/**
 * Deletes instances whose lease ran out an hour ago, or a retention where that is shorter, and that hold nothing anybody
 * waits for: work of an instance without a row may be claimed at once. Returns how many.
 */
export async function sweepInstances(
  prisma: PrismaClient,
  agent: string,
  { retentionSeconds, limit }: { retentionSeconds: number; limit: number },
): Promise<number> {
  return prisma.$executeRaw`
    with gone as materialized (
      select i.id
      from instance i
      where i.agent = ${agent}
        and i.lease_until <= now() - make_interval(secs => least(${LEAST_AGE_SECONDS}::integer, ${retentionSeconds}::integer))
        and not exists (
          select 1 from task t
          where t.agent = ${agent} and t.owner = i.id and t.finished_at is null and t.state <> 'input-required'
        )
        and not exists (
          select 1 from turn u where u.agent = ${agent} and u.instance = i.id and u.state in ${liveStates}
        )
      limit ${limit}
      for update skip locked
    )
    delete from instance i using gone g where i.agent = ${agent} and i.id = g.id`;
}
