import { Prisma } from "../../../generated/client.ts";
import { type TaskRecord, taskColumns } from "./task-columns.ts";

/** One row of a view: the task with its snapshot (`eventGeneration` null), or one event of its tail. */
export type ViewRecord = Omit<TaskRecord, "taskId"> & {
  /** Null on a row that stands for no task. */
  taskId: string | null;
  /** Position of the task in the page. */
  position: number | null;
  /** Number of all tasks the query finds; 0 on the rows of a tail. */
  total: number;
  snapshot: string | null;
  snapshotGeneration: number | null;
  eventGeneration: number | null;
  eventEpoch: number;
  eventAttempt: number;
  kind: string;
  payload: string;
  hidden: string | null;
};

/**
 * The views of the tasks in `page` (agent, id, position, total): first each task, then its tail. Large columns of a task
 * appear only on its first row. Where the page names no task that exists there is one row without a task id.
 */
export const viewRows = Prisma.sql`
    select
      p.position, p.total, ${taskColumns},
      t.snapshot, t.snapshot_generation as "snapshotGeneration",
      null::integer as "eventGeneration", 0 as "eventEpoch", 0 as "eventAttempt",
      '' as kind, '' as payload, null::text as hidden
    from page p
    left join task t on t.agent = p.agent and t.id = p.id
    left join instance i on i.agent = t.agent and i.id = t.owner
    union all
    select
      p.position, 0, '', '', p.id, '', '', '', null, 0, '', false, 0, 0, '', '', false, false, null, null,
      null, null, e.generation, e.epoch, e.attempt, e.kind, e.payload, e.hidden
    from page p
    join task t on t.agent = p.agent and t.id = p.id
    join task_event e on e.agent = t.agent and e.task_id = t.id
      and e.generation > coalesce(t.snapshot_generation, 0) and e.generation <= t.generation
    order by "position", "eventGeneration" nulls first`;
