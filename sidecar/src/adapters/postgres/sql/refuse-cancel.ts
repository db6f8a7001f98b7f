import type { PrismaClient } from "../../../generated/client.ts";

/** Keeps the agent's error for the callers who wait, and erases the canceller's headers. Returns the rows changed. */
export async function refuseCancel(
  prisma: PrismaClient,
  agent: string,
  { taskId, epoch, error }: { taskId: string; epoch: number; error: string },
): Promise<number> {
  return prisma.$executeRaw`
    update task set cancel_error = ${error}, cancel_headers = null, cancel_taken_at = coalesce(cancel_taken_at, now())
    where agent = ${agent} and id = ${taskId} and epoch = ${epoch}::integer and finished_at is null
      and cancel_requested_at is not null`;
}
