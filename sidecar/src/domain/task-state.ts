/** TaskState of A2A, spelt as 0.3 spells it; `unknown` is 1.0's TASK_STATE_UNSPECIFIED. */
export type TaskState =
  | "submitted"
  | "working"
  | "input-required"
  | "auth-required"
  | "completed"
  | "failed"
  | "canceled"
  | "rejected"
  | "unknown";

/** Completed, failed, canceled, rejected: nothing changes the task any more (P6). */
export function isTerminal(state: TaskState): boolean {
  return state === "completed" || state === "failed" || state === "canceled" || state === "rejected";
}

/** Terminal or input-required: the agent does nothing more until a client speaks. Auth-required is not rest: the agent may go on by itself. */
export function isAtRest(state: TaskState): boolean {
  return isTerminal(state) || state === "input-required";
}
