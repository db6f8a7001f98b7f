/**
 * Follows a run at the agent that has no reply stream of its own (any more) until its turn ends: subscribes, closes
 * with the agent's own Task, polls where the agent does not stream. The closing Task enters by the difference rule.
 */
import { type RecoveryReason, reasonText } from "../domain/recovery-decision.ts";
import { isAtRest } from "../domain/task-state.ts";
import { parseTask } from "../protocol/events.ts";
import { abandonRun } from "./abandon-run.ts";
import {
  type AgentTask,
  type CallOrigin,
  CREDENTIALS_REFUSED,
  getAgentTask,
  subscribeAtAgent,
  TASK_NOT_FOUND,
} from "./agent-calls.ts";
import type { FlowContext } from "./flow-context.ts";
import type { OpenSend } from "./open-turn.ts";
import { retryStore } from "./retry-store.ts";
import { QUIET_MS, recordSource, type SourceEnd } from "./record-source.ts";
import type { RecordedTurn } from "./recorder-start.ts";
import type { TaskRecorder } from "./task-recorder.ts";

const FIRST_POLL_MS = 500;
const MAX_POLL_MS = 10_000;
/** Of an agent that is asked although it could stream. */
const MAX_POLL_PYTHON_MS = 1_000;
const FIRST_PAUSE_MS = 100;
const SUBSCRIBE_PATIENCE_MS = 1_000;
const CATCH_UP_TRIES = 10;
const CATCH_UP_PAUSE_MS = 20;
/** A subscription that closes cleanly this often while the agent's Task is still live: nothing runs any more. */
const MAX_IDLE_SUBSCRIPTIONS = 2;
/** A subscription opened after the agent has ended its own stream: with nothing to say for so long nothing runs any more. */
const CLEAN_QUIET_MS = 1_000;
/**
 * A run of which no source is left is given up when the agent has not said for this long how it stands. Long enough for
 * its keys to be fetched again, or a store that its own answers need to come back: what is ended stays ended (P6).
 */
const PATIENCE_MS: Record<Silence, number> = { denied: 2 * QUIET_MS, unclear: 10 * QUIET_MS };
/** A run whose own stream broke at a living agent, and whose Task has not moved since, has died of a fault of its own. */
const BROKEN_PATIENCE_MS = 2 * QUIET_MS;

/**
 * How following a run ended. `over`: the turn has ended, or is somebody else's. `gone`: the agent does not know the task
 * any more. `died`: its process ended. `refused`: it never got the message. All but `over` leave the turn to be settled.
 */
export type RunEnd = "over" | "gone" | "died" | "refused";

interface Run {
  context: FlowContext;
  recorder: TaskRecorder;
  origin: CallOrigin;
  /** The turn it is followed for; null where the agent goes on by itself. */
  turn: RecordedTurn | null;
  /** What a run is that shows no sign of life: over, or (when re-attaching to it) lost. */
  idleIs: "over" | "gone";
  /** How the turn's own stream has ended; null where it had none, or none that is known. */
  ended: "clean" | "broken" | null;
  /** What it means that the agent refuses the credentials of the origin. */
  deniedIs: Extract<RecoveryReason, "CredentialsRefused" | "OwnerGone">;
}

/** What the agent's own Task says: `ended` = the turn is over, `live` = work may go on. */
type Standing = "ended" | "live" | "gone" | "died" | Silence;
/** It does not say how the run stands: it refuses the credentials, or gives no usable answer. The run may go on. */
type Silence = "denied" | "unclear";

/** After the turn's own stream has ended without rest. */
export async function closeRun(
  context: FlowContext,
  recorder: TaskRecorder,
  turn: OpenSend,
  end: SourceEnd,
): Promise<RunEnd> {
  if (end.kind === "rest" || end.kind === "lost") return "over";
  const ended = end.kind === "broken" ? "broken" : end.kind === "clean" ? "clean" : null;
  const run: Run = { ...ownRun(context, recorder, turn), ended };
  return endOf(run, await askAgent(run)) ?? (await follow(run, 1));
}

/** After a reply that left the run going: a non-blocking send, or one the agent gave up waiting for. */
export function followRun(context: FlowContext, recorder: TaskRecorder, turn: OpenSend): Promise<RunEnd> {
  return follow(ownRun(context, recorder, turn), 0);
}

function ownRun(context: FlowContext, recorder: TaskRecorder, { origin }: OpenSend): Run {
  const { turn } = recorder;
  return { context, recorder, origin, turn, idleIs: "over", ended: null, deniedIs: "CredentialsRefused" };
}

/**
 * After the sidecar beside a living agent was restarted: takes in what the agent's Task says, and goes on recording a
 * run that is still there. A run that is not is lost.
 */
export async function reattach(context: FlowContext, recorder: TaskRecorder, origin: CallOrigin): Promise<RunEnd> {
  const { turn } = recorder;
  // The credentials of a turn that has ended are erased: an agent that wants any is out of reach with the one who had them.
  const run: Run = {
    context,
    recorder,
    origin,
    turn,
    idleIs: "gone",
    ended: null,
    deniedIs: turn ? "CredentialsRefused" : "OwnerGone",
  };
  return endOf(run, await askAgent(run)) ?? (await follow(run, 1));
}

/**
 * A 0.3 agent on Python's SDK is asked, never subscribed to: it writes every event that a subscription gets into its own Task
 * once more, and its subscription begins with no Task.
 */
async function follow(run: Run, idleBefore: number): Promise<RunEnd> {
  const { python03 } = await run.context.profile.traits();
  return python03 ? pollAgent(run, MAX_POLL_PYTHON_MS) : followSubscriptions(run, idleBefore);
}

async function followSubscriptions(run: Run, idleBefore: number): Promise<RunEnd> {
  const { context, recorder, origin } = run;
  let silentMs = 0;
  let pauseMs = FIRST_PAUSE_MS;
  for (let idle = idleBefore; ; ) {
    const before = recorder.generation;
    const subscription = await subscribeAtAgent(context, origin, {
      agentTaskId: recorder.agentTaskId,
      patienceMs: SUBSCRIBE_PATIENCE_MS,
    });
    const declined = subscription.kind === "error" && subscription.code !== TASK_NOT_FOUND;
    if (subscription.kind === "open") {
      const { events, iterator, first } = subscription;
      const source = { events, iterator, first, kind: "subscription" } as const;
      const end = await recordSource(context, recorder, source, {
        onQuiet: () => onQuiet(run),
        quietMs: run.ended === "clean" ? CLEAN_QUIET_MS : QUIET_MS,
        beforeRest: () => catchUp(run),
      });
      if (end.kind === "rest" || end.kind === "lost") return "over";
      idle = recorder.generation > before ? 0 : idle + 1;
    } else if (subscription.kind === "failed") {
      // A source that is gone and a port that refuses before it answers again: the process has died.
      if (subscription.end === "refused") return isSettled(run) ? "over" : "died";
    } else if (!declined) {
      idle += 1;
    }
    const standing = await askAgent(run);
    const end = endOf(run, standing);
    if (end !== null) return end;
    if (recorder.generation > before) [silentMs, pauseMs] = [0, FIRST_PAUSE_MS];
    if (standing === "denied" || standing === "unclear") {
      if (silentMs >= QUIET_MS && (await yieldQueue(run))) return "over";
      if (silentMs >= PATIENCE_MS[standing]) return giveUp(run, standing);
      await context.clock.sleep(pauseMs);
      silentMs += pauseMs;
      pauseMs = Math.min(pauseMs * 2, MAX_POLL_MS);
      continue;
    }
    [silentMs, pauseMs] = [0, FIRST_PAUSE_MS];
    if (declined) return pollAgent(run, MAX_POLL_MS);
    if (idle >= MAX_IDLE_SUBSCRIPTIONS || subscription.kind === "closed" || subscription.kind === "error") {
      return endIdle(run);
    }
  }
}

/** How the run has ended; null while it goes on. */
function endOf(run: Run, standing: Standing): RunEnd | null {
  const { recorder } = run;
  if (isSettled(run)) return "over";
  if (standing === "gone" || standing === "died") return standing;
  if (standing !== "ended") return null;
  recorder.endTurn();
  return "over";
}

/** Whether there is nothing more to record for this run; another turn may have taken the task over. */
function isSettled({ recorder, turn }: Run): boolean {
  return recorder.lost || recorder.turn !== turn || recorder.resting;
}

async function askAgent(run: Run): Promise<Standing> {
  const { context, recorder, origin } = run;
  if (isSettled(run)) return "ended";
  const answer = await getAgentTask(context, origin, recorder.agentTaskId);
  if (isSettled(run)) return "ended";
  if (answer.kind !== "task") return standingWithout(answer);
  recorder.recordDifference(answer.task);
  const task = parseTask(recorder.dialect, answer.task);
  return task.kind === "task" && isAtRest(task.state) ? "ended" : "live";
}

function standingWithout(answer: Exclude<AgentTask, { kind: "task" }>): Standing {
  if (answer.kind === "failed") return answer.end === "refused" ? "died" : "unclear";
  if (answer.reply && CREDENTIALS_REFUSED.has(answer.reply.status)) return "denied";
  return answer.kind === "error" && answer.code === TASK_NOT_FOUND ? "gone" : "unclear";
}

/** Takes the finished Task from the agent, which may learn of the end a little later than its subscribers do. */
async function catchUp(run: Run): Promise<void> {
  const { context, recorder, origin } = run;
  for (let left = CATCH_UP_TRIES; left > 0 && !isSettled(run); left--) {
    const answer = await getAgentTask(context, origin, recorder.agentTaskId);
    if (answer.kind !== "task" || isSettled(run)) return;
    const task = parseTask(recorder.dialect, answer.task);
    if (task.kind === "task" && isAtRest(task.state)) return recorder.recordDifference(answer.task);
    await context.clock.sleep(CATCH_UP_PAUSE_MS);
  }
}

async function pollAgent(run: Run, maxDelayMs: number): Promise<RunEnd> {
  const { context, recorder } = run;
  let [quietMs, silentMs] = [0, 0];
  for (let delayMs = FIRST_POLL_MS; ; delayMs = Math.min(delayMs * 2, maxDelayMs)) {
    await context.clock.sleep(delayMs);
    const before = recorder.generation;
    const standing = await askAgent(run);
    const end = endOf(run, standing);
    if (end !== null) return end;
    quietMs = recorder.generation > before ? 0 : quietMs + delayMs;
    if (quietMs >= CLEAN_QUIET_MS && run.ended === "clean") return endIdle(run);
    if (quietMs >= QUIET_MS && (await yieldQueue(run))) return "over";
    if (quietMs >= BROKEN_PATIENCE_MS && run.ended === "broken") return giveUp(run, "unclear");
    const silent = standing === "denied" || standing === "unclear";
    silentMs = silent ? silentMs + delayMs : 0;
    if (silent && silentMs >= PATIENCE_MS[standing]) return giveUp(run, standing);
  }
}

/**
 * Nothing can be learned of the run any more: the task ends as failed. It is not started again, because nothing says that
 * it was lost (I5); what may still run is cancelled.
 */
function giveUp(run: Run, silence: Silence): RunEnd {
  const { context, recorder, origin } = run;
  const reason = silence === "denied" ? run.deniedIs : "AgentUnclear";
  context.log.warn({ taskId: recorder.taskId, reason }, "task ends as failed");
  abandonRun(context, origin, recorder.agentTaskId);
  recorder.recordStatus("failed", reasonText[reason]);
  return "over";
}

/** A subscription that has gone quiet: the agent's own Task tells whether it only hangs (Python 1.x after a restart). */
async function onQuiet(run: Run): Promise<"read-on" | "stop"> {
  const standing = await askAgent(run);
  // A lost run is asked about once more after the source is closed.
  if (endOf(run, standing) !== null) return "stop";
  if (run.ended === "clean") {
    endIdle(run);
    return "stop";
  }
  return (await yieldQueue(run)) ? "stop" : "read-on";
}

/** The agent has ended the stream by itself and has nothing more to say: the turn is over, the task stays as it is. */
function endIdle({ recorder, idleIs }: Run): RunEnd {
  if (idleIs === "over") recorder.endTurn();
  return idleIs;
}

/** Lets a queued message go ahead of a run that says nothing; true when one did. */
async function yieldQueue(run: Run): Promise<boolean> {
  const { context, recorder } = run;
  const { turn } = run;
  if (!turn || turn.ended) return false;
  await recorder.settled();
  const { promoted } = await retryStore(context, () => context.store.releaseQueue(turn.id, recorder.epoch));
  if (promoted === null || isSettled(run)) return false;
  recorder.endTurn();
  await recorder.settled();
  context.startTurn(promoted);
  return true;
}
