import type { PrismaClient } from "../../../generated/client.ts";
import { type ViewRecord, viewRows } from "./view-rows.ts";

/** Task, snapshot and tail as of one moment: one statement has one snapshot of the database. */
export async function readView(prisma: PrismaClient, agent: string, taskId: string): Promise<ViewRecord[]> {
  return prisma.$queryRaw`
    with page as materialized (
      select ${agent} as agent, ${taskId} as id, 1 as position, 1::float8 as total
    )
    ${viewRows}`;
}
