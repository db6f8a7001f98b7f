import type { PrismaClient } from "../../../generated/client.ts";

/** Gives a turn without a task, still journaled for `from`, to another instance. Returns the rows changed. */
export async function reassignTurn(
  prisma: PrismaClient,
  agent: string,
  { turnId, from, to }: { turnId: string; from: string; to: string },
): Promise<number> {
  return prisma.$executeRaw`
    update turn set instance = ${to}, epoch = epoch + 1
    where agent = ${agent} and id = ${turnId} and state = 'journaled' and task_id is null and instance = ${from}`;
}
