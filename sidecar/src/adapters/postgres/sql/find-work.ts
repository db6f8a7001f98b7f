import type { PrismaClient } from "../../../generated/client.ts";

/** Most rows of one look; the next look finds the rest. */
const MOST_ROWS = 1000;

/** One row of work: exactly one of the two is set. */
export interface WorkRecord {
  turnId: string | null;
  cancelTaskId: string | null;
}

/** Turns assigned to the instance, or to tasks it owns, that nobody has taken, and cancel marks likewise; oldest first. */
export async function findWork(prisma: PrismaClient, agent: string, instance: string): Promise<WorkRecord[]> {
  return prisma.$queryRaw`
    (
      select u.id as "turnId", null as "cancelTaskId"
      from turn u
      left join task t on t.agent = u.agent and t.id = u.task_id
      where u.agent = ${agent} and u.state = 'journaled' and coalesce(t.owner, u.instance) = ${instance}
      order by u.seq
      limit ${MOST_ROWS}
    )
    union all
    (
      select null, t.id
      from task t
      where t.agent = ${agent} and t.owner = ${instance}
        and t.cancel_requested_at is not null and t.cancel_taken_at is null
      order by t.cancel_requested_at
      limit ${MOST_ROWS}
    )`;
}
