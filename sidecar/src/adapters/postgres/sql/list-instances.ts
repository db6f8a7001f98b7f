import type { PrismaClient } from "../../../generated/client.ts";
import { isAlive } from "./fragments.ts";

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
      i.id, i.pod_name as "podName", i.pod_uid as "podUid",
      (extract(epoch from i.started_at) * 1000)::float8 as "startedAtMs", i.draining, ${isAlive} as alive
    from instance i
    where i.agent = ${agent}
    order by i.seq`;
}
