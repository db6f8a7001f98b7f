import type { PrismaClient } from "../../../generated/client.ts";
import type { InstancePulse } from "../../../ports/recovery-store.ts";
import { leaseRuns } from "./fragments.ts";

/** The leases of all instances, on the database's clock. */
export async function readPulses(prisma: PrismaClient, agent: string): Promise<InstancePulse[]> {
  return prisma.$queryRaw`
    select
      i.id, i.pod_uid as "podUid", i.seq::float8 as seq, i.renewals::float8 as renewals,
      not ${leaseRuns} as expired, i.draining
    from instance i
    where i.agent = ${agent}`;
}
