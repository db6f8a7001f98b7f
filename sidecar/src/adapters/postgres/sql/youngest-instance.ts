import type { PrismaClient } from "../../../generated/client.ts";
import { isAlive } from "./fragments.ts";

/** The youngest living instance that is not draining and not `self`. */
export async function youngestInstance(prisma: PrismaClient, agent: string, self: string): Promise<{ id: string }[]> {
  return prisma.$queryRaw`
    select i.id
    from instance i
    where i.agent = ${agent} and i.id <> ${self} and ${isAlive}
    order by i.seq desc
    limit 1`;
}
