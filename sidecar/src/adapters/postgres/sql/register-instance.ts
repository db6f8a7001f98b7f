import type { PrismaClient } from "../../../generated/client.ts";
import type { NewInstance } from "../../../ports/task-store.ts";

/** Enters an instance with a fresh lease; the same id starts anew. */
export async function registerInstance(
  prisma: PrismaClient,
  agent: string,
  instance: Required<NewInstance> & { leaseMs: number },
): Promise<number> {
  return prisma.$executeRaw`
    insert into instance (agent, id, pod_name, pod_uid, lease_ms, lease_until, draining)
    values (
      ${agent}, ${instance.id}, ${instance.podName}, ${instance.podUid}, ${instance.leaseMs}::integer,
      now() + ${instance.leaseMs}::integer * interval '1 millisecond', ${instance.draining}::boolean
    )
    on conflict (agent, id) do update set
      pod_name = excluded.pod_name, pod_uid = excluded.pod_uid, started_at = now(),
      renewals = instance.renewals + 1, lease_ms = excluded.lease_ms, lease_until = excluded.lease_until,
      draining = excluded.draining, seq = default`;
}
