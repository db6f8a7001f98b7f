import type { PrismaClient } from "../../../generated/client.ts";

/** The youngest living instance that is not draining and not `self`. */
export async function youngestInstance(prisma: PrismaClient, agent: string, self: string): Promise<{ id: string }[]> {
  return prisma.$queryRaw`
    select id
    from instance
    where agent = ${agent} and id <> ${self} and lease_until > now() and not draining
    order by started_at desc, id desc
    limit 1`;
}
