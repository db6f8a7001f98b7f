import type { PrismaClient } from "../../../generated/client.ts";
import type { EventRow } from "../../../ports/task-store.ts";

/**
 * Events after a generation, cut off at a number of rows and before the row that would exceed `maxBytes`. One pass over
 * the page's rows, whatever plan the server takes: their sizes are summed without reading what is stored out of line.
 */
export async function readEvents(
  prisma: PrismaClient,
  agent: string,
  range: { taskId: string; after: number; limit: number; maxBytes: number },
): Promise<EventRow[]> {
  return prisma.$queryRaw`
    select generation, epoch, attempt, kind, payload, hidden
    from (
      select
        page.*,
        row_number() over in_order as row,
        sum(octet_length(payload) + coalesce(octet_length(hidden), 0)) over in_order as bytes
      from (
        select generation, epoch, attempt, kind, payload, hidden from task_event
        where agent = ${agent} and task_id = ${range.taskId} and generation > ${range.after}::integer
        order by generation
        limit ${range.limit}
      ) page
      window in_order as (order by generation)
    ) sized
    where row = 1 or bytes <= ${range.maxBytes}::bigint
    order by generation`;
}
