import type { PrismaClient } from "../../../generated/client.ts";
import { type TaskRecord, taskColumns } from "./task-columns.ts";

/** The head of one task. */
export async function readTask(prisma: PrismaClient, agent: string, taskId: string): Promise<TaskRecord[]> {
  return prisma.$queryRaw`
    select ${taskColumns}
    from task t
    left join instance i on i.agent = t.agent and i.id = t.owner
    where t.agent = ${agent} and t.id = ${taskId}`;
}
