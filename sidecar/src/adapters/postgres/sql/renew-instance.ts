import type { PrismaClient } from "../../../generated/client.ts";

/** Moves the counter its peers watch, and the lease. Returns the rows changed: 0 when it is not registered. */
export async function renewInstance(
  prisma: PrismaClient,
  agent: string,
  { id, leaseMs, draining }: { id: string; leaseMs: number; draining: boolean },
): Promise<number> {
  return prisma.$executeRaw`
    update instance set
      renewals = renewals + 1,
      lease_ms = ${leaseMs}::integer,
      lease_until = now() + ${leaseMs}::integer * interval '1 millisecond',
      draining = ${draining}
    where agent = ${agent} and id = ${id}`;
}
