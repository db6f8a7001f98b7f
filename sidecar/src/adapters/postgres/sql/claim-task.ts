import { Prisma, type PrismaClient } from "../../../generated/client.ts";
import type { Claimer } from "./claimable.ts";
import { takeTasks } from "./take-tasks.ts";
import { leaseRuns } from "./fragments.ts";

/**
 * Takes one unfinished task whose owner's lease has run out, whose owner has no row, or is an earlier process of the
 * claimer's pod. `again`: it was free to be taken but moved before it could be.
 */
export async function claimTask(
  prisma: PrismaClient,
  claimer: Claimer,
  { taskId, windowSeconds }: { taskId: string; windowSeconds: number },
): Promise<"taken" | "not-free" | "again"> {
  const { agent, self, selfPodUid } = claimer;
  const seen = Prisma.sql`
    silent as materialized (
      select i.id
      from instance i
      where i.agent = ${agent} and i.id <> ${self}
        and i.id = (select owner from task where agent = ${agent} and id = ${taskId})
        and (
          not ${leaseRuns}
          or (
            i.pod_uid = ${selfPodUid} and i.pod_uid <> ''
            and i.seq < (select me.seq from instance me where me.agent = ${agent} and me.id = ${self})
          )
        )
      for share
    ),
    seen as materialized (
      select
        t.id, t.owner, t.epoch, t.queue_version,
        coalesce(i.pod_uid = ${selfPodUid} and i.pod_uid <> '', false) as same_pod
      from task t
      left join instance i on i.agent = ${agent} and i.id = t.owner
      where t.agent = ${agent} and t.id = ${taskId} and t.finished_at is null and t.owner <> ${self}
        and (i.id is null or i.id in (select id from silent))
    )`;
  const { seen: free, taken } = await takeTasks(prisma, claimer, { seen, wait: Prisma.empty, limit: 1, windowSeconds });
  if (taken > 0) return "taken";
  return free > 0 ? "again" : "not-free";
}
