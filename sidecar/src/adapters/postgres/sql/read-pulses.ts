import type { PrismaClient } from "../../../generated/client.ts";
import type { InstancePulse } from "../../../ports/recovery-store.ts";

/** The leases of all instances, on the database's clock. */
export async function readPulses(prisma: PrismaClient, agent: string): Promise<InstancePulse[]> {
  return prisma.$queryRaw`
    select
      id, pod_uid as "podUid", (extract(epoch from started_at) * 1000)::float8 as "startedAtMs",
      renewals::float8 as renewals, lease_until <= now() as expired, draining
    from instance
    where agent = ${agent}`;
}
