import type { TaskState } from "../domain/task-state.ts";
import type { Dialect } from "./dialect.ts";

const names10: Record<TaskState, string> = {
  submitted: "TASK_STATE_SUBMITTED",
  working: "TASK_STATE_WORKING",
  "input-required": "TASK_STATE_INPUT_REQUIRED",
  "auth-required": "TASK_STATE_AUTH_REQUIRED",
  completed: "TASK_STATE_COMPLETED",
  failed: "TASK_STATE_FAILED",
  canceled: "TASK_STATE_CANCELED",
  rejected: "TASK_STATE_REJECTED",
  unknown: "TASK_STATE_UNSPECIFIED",
};

const states10: ReadonlyMap<string, TaskState> = new Map(
  (Object.keys(names10) as TaskState[]).map((state) => [names10[state], state]),
);
const states03: ReadonlySet<string> = new Set(Object.keys(names10));

/** How a dialect spells a state on JSON-RPC (A2A 0.3 §6.3, 1.0 §4.1.3). */
export function stateName(dialect: Dialect, state: TaskState): string {
  return dialect === "1.0" ? names10[state] : state;
}

/** The state a wire name means in a dialect; undefined for a name it does not have. */
export function parseState(dialect: Dialect, name: string | undefined): TaskState | undefined {
  if (name === undefined) return undefined;
  if (dialect === "1.0") return states10.get(name);
  return states03.has(name) ? (name as TaskState) : undefined;
}

const isoTimestamp = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(\.\d+)?(Z|z|[+-]\d{2}:?\d{2})?$/;

/**
 * The instant as ISO 8601 in UTC with milliseconds, so that two can be compared as text; null where it cannot be read.
 * SDKs write microseconds and offsets; a timestamp without an offset is taken as UTC.
 */
export function normalTimestamp(timestamp: string | undefined): string | null {
  const found = timestamp === undefined ? null : isoTimestamp.exec(timestamp);
  if (found === null) return null;
  const [, date, time, fraction = "", offset = "Z"] = found;
  const zone = offset === "z" ? "Z" : offset.length === 5 ? `${offset.slice(0, 3)}:${offset.slice(3)}` : offset;
  const instant = Date.parse(`${date}T${time}${fraction.slice(0, 4)}${zone}`);
  if (Number.isNaN(instant)) return null;
  const normal = new Date(instant).toISOString();
  // Years outside 0001…9999 are spelt with a sign (or are 0000) and would not sort, nor would a database take them.
  return normal.length === 24 && !normal.startsWith("0000") ? normal : null;
}
