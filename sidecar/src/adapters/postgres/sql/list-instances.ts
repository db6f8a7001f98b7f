import type { PrismaClient } from "../../../generated/client.ts";

/** An instance as the statement selects it. */
export interface InstanceRecord {
  id: string;
  podName: string;
  podUid: string;
  startedAtMs: number;
  draining: boolean;
  alive: boolean;
}

/** All instances of the agent, oldest first; `alive` by the database's clock. */
export async function listInstances(prisma: PrismaClient, agent: string): Promise<InstanceRecord[]> {
  return prisma.$queryRaw`
    select
      id, pod_name as "podName", pod_uid as "podUid", (extract(epoch from started_at) * 1000)::float8 as "startedAtMs",
      draining, lease_until > now() and not draining as alive
    from instance
    where agent = ${agent}
    order by started_at, id`;
}
