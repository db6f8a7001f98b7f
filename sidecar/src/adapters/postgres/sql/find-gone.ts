import { Prisma, type PrismaClient } from "../../../generated/client.ts";
import type { ClaimRequest } from "../../../ports/recovery-store.ts";
import { distinctHolders } from "./claimable.ts";
import { leaseRuns } from "./fragments.ts";

/**
 * Whether anybody that may be claimed from seems to hold anything. Locks nothing and decides nothing: it keeps the claims
 * themselves, which are much dearer, out of the long times in which nobody has died.
 */
export async function findGone(prisma: PrismaClient, agent: string, request: ClaimRequest): Promise<boolean> {
  const { self, from, predecessors } = request;
  const { turns, tasks } = distinctHolders(agent);
  const rows: { found: boolean }[] = await prisma.$queryRaw`
    with recursive ${Prisma.join([tasks, turns])}
    select exists (
      select 1
      from (select holder from owners union select holder from holders) h
      left join instance i on i.agent = ${agent} and i.id = h.holder
      where h.holder <> ${self}
        and (
          i.id is null
          or (i.id = any(${from}::text[]) and not ${leaseRuns})
          or i.id = any(${predecessors}::text[])
        )
    ) as found`;
  return rows[0]?.found ?? false;
}
