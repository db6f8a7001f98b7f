import { type ListQuery, NO_STATUS_TIMESTAMP } from "../../ports/task-store.ts";
import type { MemoryTask } from "./task-store-rows.ts";

/** Whether a list shows the task (P9). */
export function matches(task: MemoryTask, query: ListQuery): boolean {
  const { tenant, caller, contextId, state, statusTimestampAfter: from } = query;
  return (
    task.tenant === tenant &&
    task.caller === caller &&
    (contextId === null || task.contextId === contextId) &&
    (state === null || task.state === state) &&
    (from === null || (task.statusTimestamp !== null && instant(task.statusTimestamp) >= instant(from)))
  );
}

/** Newest status first, then id. */
export function byStatus(a: MemoryTask, b: MemoryTask): number {
  return instant(b.statusTimestamp) - instant(a.statusTimestamp) || (a.taskId < b.taskId ? -1 : 1);
}

/** Whether the task comes after a position of the list. */
export function isBehind(task: MemoryTask, after: NonNullable<ListQuery["after"]>): boolean {
  const difference = instant(after.statusTimestamp) - instant(task.statusTimestamp);
  return difference > 0 || (difference === 0 && task.taskId > after.taskId);
}

function instant(timestamp: string | null): number {
  return Date.parse(timestamp ?? NO_STATUS_TIMESTAMP);
}
