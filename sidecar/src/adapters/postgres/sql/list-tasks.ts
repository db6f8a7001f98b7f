import { Prisma, type PrismaClient } from "../../../generated/client.ts";
import type { ListQuery } from "../../../ports/task-store.ts";
import { type ViewRecord, viewRows } from "./view-rows.ts";

/** One more than a page of views, newest status first, then id; served by `task_listed_idx`. */
export async function listTasks(prisma: PrismaClient, agent: string, query: ListQuery): Promise<ViewRecord[]> {
  const matching = Prisma.sql`
    t.agent = ${agent} and t.tenant = ${query.tenant} and t.caller = ${query.caller}
    ${query.contextId === null ? Prisma.empty : Prisma.sql`and t.context_id = ${query.contextId}`}
    ${query.state === null ? Prisma.empty : Prisma.sql`and t.state = ${query.state}`}
    ${
      query.statusTimestampAfter === null
        ? Prisma.empty
        : Prisma.sql`and t.status_timestamp >= ${query.statusTimestampAfter}::timestamptz`
    }`;
  const listed = Prisma.sql`coalesce(t.status_timestamp, timestamptz '1970-01-01 00:00:00+00')`;
  const afterwards =
    query.after === null
      ? Prisma.empty
      : Prisma.sql`and ${listed} <= ${query.after.statusTimestamp}::timestamptz
          and (${listed} < ${query.after.statusTimestamp}::timestamptz or t.id collate "C" > ${query.after.taskId})`;
  return prisma.$queryRaw`
    with total as materialized (
      select count(*)::float8 as total from task t where ${matching}
    ),
    page as materialized (
      select f.*, total.total
      from total
      left join (
        select t.agent, t.id, (row_number() over (order by ${listed} desc, t.id collate "C"))::integer as position
        from task t
        where ${matching} ${afterwards}
        order by ${listed} desc, t.id collate "C"
        limit ${query.pageSize + 1}
      ) f on true
    )
    ${viewRows}`;
}
