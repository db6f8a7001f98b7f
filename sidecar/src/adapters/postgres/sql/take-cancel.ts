import type { PrismaClient } from "../../../generated/client.ts";
import { type TaskRecord, taskColumns } from "./task-columns.ts";

/** The owner takes the mark by compare-and-set. No row: there is none, it was taken, or the task moved or finished. */
export async function takeCancel(
  prisma: PrismaClient,
  agent: string,
  { taskId, owner }: { taskId: string; owner: string },
): Promise<TaskRecord[]> {
  return prisma.$queryRaw`
    with t as (
      update task set cancel_taken_at = now()
      where agent = ${agent} and id = ${taskId} and owner = ${owner} and finished_at is null
        and cancel_requested_at is not null and cancel_taken_at is null
      returning *
    )
    select ${taskColumns} from t left join instance i on i.agent = t.agent and i.id = t.owner`;
}
