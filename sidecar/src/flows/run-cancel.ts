/** Cancel, on the owner's side: takes the mark by compare-and-set, asks the agent, records what came of it. */
import { parseTask } from "../protocol/events.ts";
import type { Headers } from "../protocol/headers.ts";
import type { TaskRow } from "../ports/task-store.ts";
import { type AgentTask, type CallOrigin, cancelAtAgent, TASK_NOT_FOUND } from "./agent-calls.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import { TaskRecorder } from "./task-recorder.ts";

/** Never rejects; a mark that somebody else took, or that is answered, is left alone. */
export async function runCancel(context: FlowContext, taskId: string): Promise<void> {
  try {
    const task = await context.store.takeCancel(taskId, context.settings.instanceId);
    if (task) await cancelOwned(context, task);
  } catch (error) {
    context.log.warn({ err: error, taskId }, "cancel could not be carried out");
  }
}

async function cancelOwned(context: FlowContext, task: TaskRow): Promise<void> {
  const answer = await cancelAtAgent(context, cancelOrigin(context, task), task.agentTaskId);
  const recorder = await context.recorders.obtain(task.taskId, () => reopen(context, task.taskId));
  recorder.hold();
  try {
    await recordOutcome(context, recorder, answer);
    await recorder.settled();
  } finally {
    recorder.letGo();
  }
}

async function recordOutcome(context: FlowContext, recorder: TaskRecorder, answer: AgentTask): Promise<void> {
  if (answer.kind === "task" && parseTask(recorder.dialect, answer.task).kind === "task") {
    recorder.recordDifference(answer.task, { cancelAnswered: true });
  } else if (answer.kind === "error" && answer.code !== TASK_NOT_FOUND) {
    await retryStore(context, () => context.store.refuseCancel(recorder.taskId, recorder.epoch, answer.error));
  } else {
    // Gone from the agent, or the agent is gone: nothing runs any more that could contradict.
    recorder.recordStatus("canceled", "Canceled; the agent no longer runs this task.", { cancelAnswered: true });
  }
}

async function reopen(context: FlowContext, taskId: string): Promise<TaskRecorder> {
  const view = await retryStore(context, () => context.store.readView(taskId));
  if (!view) throw new Error("the task has left the record");
  return TaskRecorder.fromView(context, view);
}

/** The canceller's own headers: the agent judges the cancel as if it had come directly. */
function cancelOrigin(context: FlowContext, task: TaskRow): CallOrigin {
  const sealed = task.cancel?.headers;
  const opened = sealed ? (JSON.parse(context.seal.open(sealed)) as { path: string; headers: Headers }) : null;
  return { dialect: task.dialect, tenant: task.tenant, path: opened?.path ?? "/", headers: opened?.headers ?? {} };
}
