import type { PrismaClient } from "../../../generated/client.ts";
import type { TurnHolder } from "../../../ports/task-store.ts";

/** Who holds these turns, without what they carry. */
export async function readHolders(prisma: PrismaClient, agent: string, ids: string[]): Promise<TurnHolder[]> {
  return prisma.$queryRaw`
    select
      u.id as "turnId", u.state, coalesce(t.owner, u.instance) as instance, coalesce(t.epoch, u.epoch) as epoch,
      u.task_id as "taskId", t.agent_task_id as "agentTaskId"
    from turn u
    left join task t on t.agent = u.agent and t.id = u.task_id
    where u.agent = ${agent} and u.id = any(${ids}::text[])`;
}
