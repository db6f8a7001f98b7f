import { Prisma } from "../../../generated/client.ts";
import type { TaskState } from "../../../domain/task-state.ts";
import type { Dialect } from "../../../protocol/dialect.ts";
import type { CancelMark, TaskRow } from "../../../ports/task-store.ts";
import { isAlive } from "./fragments.ts";

/**
 * Columns of a {@link TaskRecord}. Needs `t` (task) and `i` (its owner's instance or nulls) in scope. Instants travel
 * as milliseconds, so that the session's time zone has no say.
 */
export const taskColumns = Prisma.sql`
  t.tenant, t.caller, t.id as "taskId", t.context_id as "contextId", t.dialect, t.state,
  (extract(epoch from t.status_timestamp) * 1000)::float8 as "statusTimestampMs",
  t.generation, t.owner, ${isAlive} is true as "ownerAlive", t.epoch, t.attempt,
  t.agent_task_id as "agentTaskId", t.agent_context_id as "agentContextId",
  t.cancel_requested_at is not null as "cancelRequested", t.cancel_taken_at is not null as "cancelTaken",
  t.cancel_headers as "cancelHeaders", t.cancel_error as "cancelError"`;

/** A task as {@link taskColumns} selects it. */
export interface TaskRecord {
  tenant: string;
  caller: string;
  taskId: string;
  contextId: string;
  dialect: Dialect;
  state: TaskState;
  statusTimestampMs: number | null;
  generation: number;
  owner: string;
  ownerAlive: boolean;
  epoch: number;
  attempt: number;
  agentTaskId: string;
  agentContextId: string;
  cancelRequested: boolean;
  cancelTaken: boolean;
  cancelHeaders: Uint8Array | null;
  cancelError: string | null;
}

/** The record in the port's form. */
export function taskRowOf(record: TaskRecord): TaskRow {
  const { statusTimestampMs, cancelRequested, cancelTaken, cancelHeaders, cancelError, ...row } = record;
  const cancel: CancelMark | null = cancelRequested
    ? { headers: cancelHeaders, taken: cancelTaken, error: cancelError }
    : null;
  return { ...row, statusTimestamp: statusTimestampMs === null ? null : isoOf(statusTimestampMs), cancel };
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** An instant as Postgres reads it whatever the session's settings; null for years it would not take in this form. */
export function instantOf(iso: string | null): string | null {
  return iso !== null && /^\d{4}-/.test(iso) ? iso : null;
}
