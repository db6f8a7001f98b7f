import type { PrismaClient } from "../../../generated/client.ts";
import type { TaskPosition } from "../../../ports/task-store.ts";

/** Where the logs of several tasks stand. */
export async function readPositions(prisma: PrismaClient, agent: string, taskIds: string[]): Promise<TaskPosition[]> {
  return prisma.$queryRaw`
    select id as "taskId", generation, state from task where agent = ${agent} and id = any(${taskIds}::text[])`;
}
