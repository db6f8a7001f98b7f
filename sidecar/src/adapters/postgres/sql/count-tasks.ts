import type { TaskState } from "../../../domain/task-state.ts";
import type { PrismaClient } from "../../../generated/client.ts";

/** How many tasks are in each state. */
export async function countTasks(prisma: PrismaClient, agent: string): Promise<{ state: TaskState; count: number }[]> {
  return prisma.$queryRaw`select state, count(*)::float8 as count from task where agent = ${agent} group by state`;
}
