/** Cancel, on the owner's side: takes the mark by compare-and-set, asks the agent, records what came of it. */
import { isTerminal } from "../domain/task-state.ts";
import { parseTask } from "../protocol/events.ts";
import type { Headers } from "../protocol/headers.ts";
import type { TaskRow } from "../ports/task-store.ts";
import { a2aError } from "../protocol/a2a-errors.ts";
import { type AgentTask, type CallOrigin, cancelAtAgent, getAgentTask, TASK_NOT_FOUND } from "./agent-calls.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import { takeOnce } from "./take-once.ts";
import { TaskRecorder } from "./task-recorder.ts";

const REPEAT_AFTER_MS = 100;

/** Never rejects; a mark that somebody else took, or that is answered, is left alone. */
export async function runCancel(context: FlowContext, taskId: string): Promise<void> {
  let task: TaskRow | null = null;
  try {
    task = await takeMark(context, taskId);
    if (task) await cancelOwned(context, task);
  } catch (error) {
    context.log.warn({ err: error, taskId }, "cancel could not be carried out");
    if (task) await refuseFailed(context, task);
  }
}

/** A mark that stays taken would let no later cancel through. */
async function refuseFailed(context: FlowContext, { taskId, epoch, dialect }: TaskRow): Promise<void> {
  const error = a2aError(dialect, "internal", "The cancel could not be handed to the agent.");
  await context.store.refuseCancel(taskId, epoch, error).catch((cause: unknown) => {
    context.log.warn({ err: cause, taskId }, "cancel could not be refused");
  });
}

/** Takes the mark. Only its owner does, and one cancel of a task runs here at a time: a mark that is taken is ours. */
function takeMark(context: FlowContext, taskId: string): Promise<TaskRow | null> {
  const { instanceId } = context.settings;
  return takeOnce(context, {
    take: () => context.store.takeCancel(taskId, instanceId),
    find: async () => {
      const task = await context.store.readTask(taskId);
      return task?.owner === instanceId && task.cancel?.taken && task.cancel.error === null ? task : null;
    },
  });
}

async function cancelOwned(context: FlowContext, task: TaskRow): Promise<void> {
  const answer = await askAgent(context, task);
  context.recorders.dropOlder(task.taskId, task.epoch);
  const recorder = await context.recorders.obtain(task.taskId, () => reopen(context, task.taskId));
  recorder.hold();
  try {
    await recordOutcome(context, recorder, answer);
    if (recorder.resting) recorder.closeSources();
    await recorder.settled();
  } finally {
    recorder.letGo();
  }
}

/** An attempt that is only just beginning has shown no id to cancel; it is cancelled as soon as it does. */
function askAgent(context: FlowContext, task: TaskRow): Promise<AgentTask> {
  const held = context.recorders.get(task.taskId);
  // The id goes into the record with the attempt's first events, a moment after its recorder has seen it.
  const agentTaskId = held?.epoch === task.epoch ? held.agentTaskId : task.agentTaskId;
  if (agentTaskId === "") return Promise.resolve({ kind: "failed", end: "refused" });
  return cancelFirmly(context, cancelOrigin(context, task), agentTaskId);
}

/**
 * A cancel that broke off is sent once more, on a new connection: a reset by an agent that was too busy to read it is no
 * sign that nothing runs. An agent that is ending closes its port a moment after its connections.
 */
async function cancelFirmly(context: FlowContext, origin: CallOrigin, agentTaskId: string): Promise<AgentTask> {
  const first = await cancelAtAgent(context, origin, agentTaskId);
  if (first.kind !== "failed" || first.end === "refused") return first;
  await context.clock.sleep(REPEAT_AFTER_MS);
  const second = await cancelAtAgent(context, origin, agentTaskId);
  if (second.kind !== "error" || second.code === TASK_NOT_FOUND) return second;
  // The first one may have been carried out: what has ended cannot be canceled again.
  const current = await getAgentTask(context, origin, agentTaskId);
  const task = current.kind === "task" ? parseTask(origin.dialect, current.task) : null;
  return task?.kind === "task" && isTerminal(task.state) ? current : second;
}

async function recordOutcome(context: FlowContext, recorder: TaskRecorder, answer: AgentTask): Promise<void> {
  if (answer.kind === "task" && parseTask(recorder.dialect, answer.task).kind === "task") {
    recorder.recordDifference(answer.task, { cancelAnswered: true });
  } else if (answer.kind === "error" && answer.code !== TASK_NOT_FOUND) {
    await refuse(context, recorder, answer.error);
  } else if (answer.kind === "unusable") {
    // It has answered, so the work may go on: a 401 must not end somebody's task.
    const status = answer.reply ? `HTTP ${answer.reply.status}` : "a stream";
    await refuse(
      context,
      recorder,
      a2aError(recorder.dialect, "internal", `The agent answered the cancel with ${status}.`),
    );
  } else if (answer.kind === "failed" && answer.end === "broken") {
    // Whoever canceled may do so again; a task recorded as canceled could not be stopped any more.
    await refuse(context, recorder, a2aError(recorder.dialect, "internal", "The agent broke off the cancel."));
  } else {
    // Gone from the agent, or the agent is gone: nothing runs any more that could contradict.
    recorder.recordStatus("canceled", "Canceled; the agent no longer runs this task.", { cancelAnswered: true });
  }
}

async function refuse(context: FlowContext, recorder: TaskRecorder, error: string): Promise<void> {
  await retryStore(context, () => context.store.refuseCancel(recorder.taskId, recorder.epoch, error));
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
