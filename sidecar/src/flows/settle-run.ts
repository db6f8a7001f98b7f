/** What becomes of a turn whose run at this instance's agent was lost, by policy (P4). */
import {
  attemptDelayMs,
  decideRecovery,
  executorStarts,
  type RecoveryReason,
  reasonText,
  restartText,
} from "../domain/recovery-decision.ts";
import { PRESENCE_PATIENCE_MS } from "./agent-presence.ts";
import type { FlowContext } from "./flow-context.ts";
import type { RunEnd } from "./follow-run.ts";
import type { OpenSend } from "./open-turn.ts";
import { retryStore } from "./retry-store.ts";
import { runAttempt } from "./run-attempt.ts";
import type { TaskRecorder } from "./task-recorder.ts";

/** Starts a lost turn again, and again, until it is over, by policy failed, or somebody else's. */
export async function settleRun(
  context: FlowContext,
  turn: OpenSend | null,
  recorder: TaskRecorder,
  ended: RunEnd,
): Promise<void> {
  let current = turn;
  for (let end = ended; end !== "over" && !recorder.lost && !recorder.resting; ) {
    if (!current || !recorder.turn) return endRun(context, recorder, "AgentGone");
    await recorder.settled();
    const next = await nextAttempt(context, current, { recorder, end });
    if (!next) return;
    current = next.turn;
    end = await runAttempt(context, current, recorder, next.why);
  }
}

/** Ends the task as failed with a reason a user can read. */
export async function endRun(context: FlowContext, recorder: TaskRecorder, reason: RecoveryReason): Promise<void> {
  context.log.warn({ taskId: recorder.taskId, reason }, "task ends as failed");
  recorder.recordStatus("failed", reasonText[reason]);
  await recorder.settled();
}

/** The attempt to make next and what announces it; null when the task has ended or the turn is not ours any more. */
async function nextAttempt(
  context: FlowContext,
  turn: OpenSend,
  lost: { recorder: TaskRecorder; end: Exclude<RunEnd, "over"> },
): Promise<{ turn: OpenSend; why: string | null } | null> {
  const { recorder, end } = lost;
  const { row } = turn;
  const unsent = end === "refused";
  const decision = decideRecovery({
    policy: context.settings.recoveryPolicy,
    maxAttempts: context.settings.maxAttempts,
    turn: {
      state: unsent ? "journaled" : "bound",
      attempt: unsent ? row.attempt : row.attempt + 1,
      handovers: row.handovers,
      purpose: row.purpose,
    },
    taskState: recorder.state,
    samePod: true,
    agentSays: end === "gone" ? "gone" : "unreachable",
  });
  if (decision.kind === "leave") return null;
  if (decision.kind === "fail") {
    await endRun(context, recorder, decision.reason);
    return null;
  }
  context.log.warn({ taskId: recorder.taskId, end, attempt: row.attempt }, "run lost, starting it again");
  if (!(await awaitAgent(context, turn, lost))) return null;
  if (unsent) return { turn, why: null };
  const owner = { instance: context.settings.instanceId, epoch: recorder.epoch };
  const next = await retryStore(context, () => context.recovery.beginAttempt(row.id, owner, row.attempt));
  if (!next) return null;
  await context.clock.sleep(attemptDelayMs(next, context.random()));
  const why = decision.kind === "redispatch" ? restartText({ attempt: next.attempt, why: decision.why }) : null;
  return { turn: { ...turn, row: next }, why };
}

/** The longest pause that a kubelet makes before it restarts a container that crashes again and again. */
const RESTART_PAUSE_MS = 300_000;

/**
 * Waits for the agent to answer again. An agent that does not come back gives its work to another instance where there is
 * one. Alone, the instance waits for as long as the attempts that are left could take to begin, then the task has failed.
 */
async function awaitAgent(
  context: FlowContext,
  { row }: OpenSend,
  { recorder, end }: { recorder: TaskRecorder; end: Exclude<RunEnd, "over"> },
): Promise<boolean> {
  const { clock, recovery, settings } = context;
  const started = executorStarts(row) - (end === "refused" ? 1 : 0);
  const untilMs = clock.monotonicMs() + (settings.maxAttempts - started) * RESTART_PAUSE_MS;
  for (;;) {
    if (await context.presence.untilListening(context, PRESENCE_PATIENCE_MS)) return !recorder.lost;
    if (recorder.lost) return false;
    const other = await retryStore(context, () => recovery.youngestInstance(settings.instanceId));
    if (!other) {
      if (clock.monotonicMs() < untilMs) continue;
      await endRun(context, recorder, "AgentGone");
      return false;
    }
    const owner = { instance: settings.instanceId, epoch: recorder.epoch };
    const released = await retryStore(context, () =>
      recovery.releaseTurn(row.id, owner, end === "refused" ? "handed-over" : "lost"),
    );
    if (released) context.relay.publishClaimable();
    recorder.abandon();
    return false;
  }
}
