import type { PrismaClient } from "../../../generated/client.ts";
import { type TaskRecord, taskColumns } from "./task-columns.ts";

/**
 * Marks a task that has not finished. A mark that waits or was taken stays as it is; one the agent refused is replaced.
 * Gives the task back, finished or not; no row: there is no such task.
 */
export async function requestCancel(
  prisma: PrismaClient,
  agent: string,
  { taskId, headers }: { taskId: string; headers: Uint8Array | null },
): Promise<TaskRecord[]> {
  return prisma.$queryRaw`
    with locked as materialized (
      select t.*, t.finished_at is null and (t.cancel_requested_at is null or t.cancel_error is not null) as fresh
      from task t
      where t.agent = ${agent} and t.id = ${taskId}
      for no key update
    ),
    marked as (
      update task t set
        cancel_requested_at = now(), cancel_taken_at = null, cancel_headers = ${headers}::bytea, cancel_error = null
      from locked l
      where t.agent = ${agent} and t.id = l.id and l.fresh
    ),
    t as (
      select
        agent, tenant, id, context_id, caller, dialect, state, status_timestamp, generation, owner, epoch, attempt,
        agent_task_id, agent_context_id,
        case when fresh then now() else cancel_requested_at end as cancel_requested_at,
        case when fresh then null else cancel_taken_at end as cancel_taken_at,
        case when fresh then ${headers}::bytea else cancel_headers end as cancel_headers,
        case when fresh then null else cancel_error end as cancel_error
      from locked
    )
    select ${taskColumns} from t left join instance i on i.agent = t.agent and i.id = t.owner`;
}
