/** What becomes of a turn whose run at the agent is gone. */
import type { FlowContext } from "./flow-context.ts";
import type { TaskRecorder } from "./task-recorder.ts";

/**
 * `gone`: the agent does not know the task any more. `died`: its process ended. Either way nobody works on the turn, so
 * the task must reach an end (P4).
 */
export type RunLoss = "gone" | "died";

const REASONS: Record<RunLoss, string> = {
  gone: "The agent no longer knows this task; the work was lost.",
  died: "The agent stopped while it worked on this task.",
};

export async function endLostRun(context: FlowContext, recorder: TaskRecorder, loss: RunLoss): Promise<void> {
  context.log.warn({ taskId: recorder.taskId, loss }, "run lost, task ends as failed");
  recorder.recordStatus("failed", REASONS[loss]);
  await recorder.settled();
}
