import type { PrismaClient } from "../../../generated/client.ts";
import { liveStates } from "./fragments.ts";

/** Deletes the instances of these ids that hold neither an unfinished task nor a turn that has not ended. Returns how many. */
export async function forgetInstances(prisma: PrismaClient, agent: string, ids: string[]): Promise<number> {
  return prisma.$executeRaw`
    delete from instance i
    where i.agent = ${agent} and i.id = any(${ids}::text[])
      and not exists (select 1 from task t where t.agent = ${agent} and t.owner = i.id and t.finished_at is null)
      and not exists (
        select 1 from turn u where u.agent = ${agent} and u.instance = i.id and u.state in ${liveStates}
      )`;
}
