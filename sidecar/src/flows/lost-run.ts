/** What becomes of a turn whose run at this instance's agent was lost, by policy (P4). */
import { attemptDelayMs, decideRecovery, type RecoveryReason, reasonText, restartText } from "../domain/recovery-decision.ts";
import { PRESENCE_PATIENCE_MS } from "./agent-presence.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import { runAttempt } from "./run-attempt.ts";
import type { OpenSend } from "./run-turn.ts";
import type { TaskRecorder } from "./task-recorder.ts";

/** `gone`: the agent does not know the task any more. `died`: its process ended. `refused`: it never got the message. */
export type RunLoss = "gone" | "died" | "refused";

/** Starts the turn again, or ends its task as failed. */
export async function continueLostRun(
  context: FlowContext,
  turn: OpenSend | null,
  recorder: TaskRecorder,
  loss: RunLoss,
): Promise<void> {
  if (recorder.lost || recorder.resting) return;
  if (!turn || !recorder.turn) return endRun(context, recorder, "AgentGone");
  await recorder.settled();
  const { row } = turn;
  const starts = row.attempt + (loss === "refused" ? 0 : 1);
  const decision = decideRecovery({
    policy: context.settings.recoveryPolicy,
    maxAttempts: context.settings.maxAttempts,
    turn: { state: loss === "refused" ? "journaled" : "bound", attempt: starts, handovers: row.handovers, purpose: row.purpose },
    taskState: recorder.state,
    samePod: true,
    agentSays: loss === "gone" ? "gone" : "unreachable",
  });
  if (decision.kind === "fail") return endRun(context, recorder, decision.reason);
  context.log.warn({ taskId: recorder.taskId, loss, attempt: starts }, "run lost, starting it again");
  if (!(await awaitAgent(context, turn, recorder))) return;
  if (loss === "refused") return runAttempt(context, turn, recorder, null);
  const owner = { instance: context.settings.instanceId, epoch: recorder.epoch };
  const next = await retryStore(context, () => context.recovery.beginAttempt(row.id, owner));
  if (!next) return;
  await context.clock.sleep(attemptDelayMs(next, context.random()));
  const why = decision.kind === "redispatch" ? restartText({ attempt: next.attempt, why: decision.why }) : null;
  await runAttempt(context, { ...turn, row: next }, recorder, why);
}

/** Ends the task as failed with a reason a user can read. */
export async function endRun(context: FlowContext, recorder: TaskRecorder, reason: RecoveryReason): Promise<void> {
  context.log.warn({ taskId: recorder.taskId, reason }, "task ends as failed");
  recorder.recordStatus("failed", reasonText[reason]);
  await recorder.settled();
}

/**
 * Waits for the agent to answer again. An agent that does not come back gives its work to another instance where there
 * is one (a hand-over); alone, the instance waits on, until its agent is there or the task is taken or canceled.
 */
async function awaitAgent(context: FlowContext, turn: OpenSend, recorder: TaskRecorder): Promise<boolean> {
  for (;;) {
    if (await context.presence.untilListening(context, PRESENCE_PATIENCE_MS)) return !recorder.lost;
    if (recorder.lost) return false;
    const other = await retryStore(context, () => context.recovery.youngestInstance(context.settings.instanceId));
    if (!other) continue;
    const owner = { instance: context.settings.instanceId, epoch: recorder.epoch };
    const released = await retryStore(context, () => context.recovery.releaseTurn(turn.row.id, owner));
    if (released) context.relay.publishClaimable();
    recorder.abandon();
    return false;
  }
}
