import type { PrismaClient } from "../../../generated/client.ts";

/** Enters an instance with a fresh lease; the same id starts anew. */
export async function registerInstance(
  prisma: PrismaClient,
  agent: string,
  instance: { id: string; podName: string; podUid: string; leaseMs: number },
): Promise<number> {
  return prisma.$executeRaw`
    insert into instance (agent, id, pod_name, pod_uid, lease_ms, lease_until)
    values (
      ${agent}, ${instance.id}, ${instance.podName}, ${instance.podUid}, ${instance.leaseMs}::integer,
      now() + ${instance.leaseMs}::integer * interval '1 millisecond'
    )
    on conflict (agent, id) do update set
      pod_name = excluded.pod_name, pod_uid = excluded.pod_uid, started_at = now(),
      renewals = instance.renewals + 1, lease_ms = excluded.lease_ms, lease_until = excluded.lease_until,
      draining = false, seq = default`;
}
