import type { PrismaClient } from "../../../generated/client.ts";
import type { EventRow } from "../../../ports/task-store.ts";

/** Events after a generation, cut off at a number of rows and before the row that would exceed `maxBytes`. */
export async function readEvents(
  prisma: PrismaClient,
  agent: string,
  range: { taskId: string; after: number; limit: number; maxBytes: number },
): Promise<EventRow[]> {
  return prisma.$queryRaw`
    select e.generation, e.epoch, e.attempt, e.kind, e.payload, e.hidden
    from task_event e
    join (
      select
        generation,
        row_number() over in_order as row,
        sum(octet_length(payload) + coalesce(octet_length(hidden), 0)) over in_order as bytes
      from (
        select generation, payload, hidden from task_event
        where agent = ${agent} and task_id = ${range.taskId} and generation > ${range.after}::integer
        order by generation
        limit ${range.limit}
      ) s
      window in_order as (order by generation)
    ) sized on sized.generation = e.generation and (sized.row = 1 or sized.bytes <= ${range.maxBytes}::bigint)
    where e.agent = ${agent} and e.task_id = ${range.taskId}
    order by e.generation`;
}
