import type { PrismaClient } from "../../../generated/client.ts";
import { isAlive } from "./fragments.ts";

/** Turns looked back on, so that a long context of long gone instances costs no more than a short one. */
const TURNS_BACK = 20;

/** The living instance that last ran a turn of this context. */
export async function lastInstance(
  prisma: PrismaClient,
  agent: string,
  { tenant, caller, contextId }: { tenant: string; caller: string; contextId: string },
): Promise<{ id: string }[]> {
  return prisma.$queryRaw`
    select i.id
    from (
      select agent, instance, task_id, seq
      from turn
      where agent = ${agent} and tenant = ${tenant} and caller = ${caller} and context_id = ${contextId}
      order by seq desc
      limit ${TURNS_BACK}
    ) u
    left join task t on t.agent = u.agent and t.id = u.task_id
    join instance i on i.agent = u.agent and i.id = coalesce(t.owner, u.instance)
    where ${isAlive}
    order by u.seq desc
    limit 1`;
}
