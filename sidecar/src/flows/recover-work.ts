/**
 * What an instance does with work it has claimed: re-attach where the agent of this very pod may still be at it, else by
 * policy start it again or end it as failed (P4). Nothing stays `working` because its pod is gone.
 */
import { attemptDelayMs, decideRecovery, type RecoveryDecision, restartText } from "../domain/recovery-decision.ts";
import type { ClaimedTask, ClaimedTurn } from "../ports/recovery-store.ts";
import { type CallOrigin, getAgentTask } from "./agent-calls.ts";
import { findAgentTask, historyHolds } from "./find-agent-task.ts";
import { createTask } from "./create-task.ts";
import { followRun, reattach } from "./follow-run.ts";
import type { FlowContext } from "./flow-context.ts";
import { giveUpTask, giveUpTurn } from "./give-up.ts";
import { endRun, settleRun } from "./settle-run.ts";
import { retryStore } from "./retry-store.ts";
import { failUnbound } from "./deliver-message.ts";
import { runAttempt } from "./run-attempt.ts";
import { runCancel } from "./run-cancel.ts";
import { openSend, type OpenSend } from "./open-turn.ts";
import { runTurn } from "./run-turn.ts";
import { TaskRecorder } from "./task-recorder.ts";

/** A claimed message that has no task. */
export async function recoverTurn(context: FlowContext, claimed: ClaimedTurn): Promise<void> {
  try {
    await continueTurn(context, claimed);
  } catch (error) {
    context.log.error({ err: error, turnId: claimed.turn.id }, "claimed turn could not be gone on with");
    await giveUpTurn(context, claimed.turn.id);
  }
}

/** A claimed task: its turn in flight, or an agent that went on without one. */
export async function recoverTask(context: FlowContext, claimed: ClaimedTask): Promise<void> {
  const { taskId, epoch } = claimed.task;
  try {
    await openClaimed(context, claimed);
  } catch (error) {
    context.log.error({ err: error, taskId }, "claimed task could not be gone on with");
    await (claimed.turn ? giveUpTurn(context, claimed.turn.turn.id) : giveUpTask(context, taskId, { epoch }));
  }
}

async function continueTurn(context: FlowContext, claimed: ClaimedTurn): Promise<void> {
  const { turn: row } = claimed;
  const decision = decide(context, claimed, { taskState: null, samePod: claimed.samePod, agentSays: "unknown" });
  const send = openSend(context, row);
  if (decision.kind === "redispatch" && send) await backOff(context, send);
  if (!send || decision.kind === "run" || decision.kind === "redispatch") return runTurn(context, row);
  if (decision.kind === "fail") return failUnbound(context, send, decision.reason);
  // The process before this one gave it to the agent, which may be at work or done.
  const task = await findAgentTask(context, send);
  if (task) {
    const recorder = await createTask(context, send, task);
    if (!recorder || recorder.resting) return;
    context.recorders.add(recorder);
    return held(recorder, async () => settleRun(context, send, recorder, await followRun(context, recorder, send)));
  }
  const second = decide(context, claimed, { taskState: null, samePod: true, agentSays: "gone" });
  if (second.kind === "fail") return failUnbound(context, send, second.reason);
  await backOff(context, send);
  return runTurn(context, row);
}

/** Work that has died several times goes from one instance to the next with growing pauses. */
function backOff(context: FlowContext, { row }: OpenSend): Promise<void> {
  return context.clock.sleep(attemptDelayMs(row, context.random()));
}

async function openClaimed(context: FlowContext, claimed: ClaimedTask): Promise<void> {
  const { taskId, epoch } = claimed.task;
  const view = await retryStore(context, () => context.store.readView(taskId));
  if (!view || view.task.epoch !== epoch) return;
  context.recorders.dropOlder(taskId, epoch);
  const recorder = await context.recorders.obtain(taskId, async () => TaskRecorder.fromView(context, view));
  const send = claimed.turn ? openSend(context, claimed.turn.turn) : null;
  const row = claimed.turn?.turn ?? null;
  if (row && send) {
    const hidden = `[${send.send.message}]`;
    recorder.beginTurn({ id: row.id, hidden, firstGeneration: row.firstGeneration, ended: false, origin: send.origin });
  }
  await held(recorder, () => continueTask(context, { claimed, recorder, send }));
}

interface Claim {
  claimed: ClaimedTask;
  recorder: TaskRecorder;
  send: OpenSend | null;
}

async function continueTask(context: FlowContext, claim: Claim): Promise<void> {
  const { claimed, recorder, send } = claim;
  const { samePod } = claimed;
  // Whom its client has canceled is not started again: the cancel that the former owner has not answered comes first.
  if (claimed.task.cancel?.error === null) {
    await runCancel(context, recorder.taskId);
    if (recorder.resting || recorder.lost) return;
  }
  // A cancel may have ended the task since it was claimed.
  let decision = decide(context, claimed.turn, { taskState: recorder.state, samePod, agentSays: "unknown" });
  if (decision.kind === "re-attach") {
    if (recorder.agentTaskId !== "") {
      if (send && (await isUnheard(context, recorder, send))) {
        // It may have been on its way all the same.
        if (context.settings.recoveryPolicy === "Fail") return endRun(context, recorder, "PolicyFail");
        return runTurn(context, send.row);
      }
      return settleRun(context, send, recorder, await reattach(context, recorder, originOf(claim)));
    }
    decision = decide(context, claimed.turn, { taskState: recorder.state, samePod, agentSays: "gone" });
  }
  if (decision.kind === "fail") return endRun(context, recorder, decision.reason);
  if (decision.kind === "leave" || !send) return;
  // Never given to an agent: that of this pod may still have the task itself.
  if (decision.kind === "run") return runTurn(context, send.row);
  const why = decision.kind === "redispatch" ? restartText({ attempt: decision.attempt, why: decision.why }) : null;
  await backOff(context, send);
  const end = await runAttempt(context, send, recorder, recorder.turn?.firstGeneration === null ? null : why);
  await settleRun(context, send, recorder, end);
}

/** Whether the agent of this pod has the task but never got the message: the process before ended in between (P4). */
async function isUnheard(context: FlowContext, recorder: TaskRecorder, send: OpenSend): Promise<boolean> {
  if (recorder.turn?.firstGeneration !== null) return false;
  const answer = await getAgentTask(context, send.origin, recorder.agentTaskId);
  return answer.kind === "task" && !historyHolds(answer.task, send.send.messageId);
}

function decide(
  context: FlowContext,
  claimed: ClaimedTurn | null,
  found: Pick<Parameters<typeof decideRecovery>[0], "taskState" | "samePod" | "agentSays">,
): RecoveryDecision {
  const turn = claimed && {
    state: claimed.before,
    attempt: claimed.turn.attempt,
    handovers: claimed.turn.handovers,
    purpose: claimed.turn.purpose,
  };
  return decideRecovery({
    policy: context.settings.recoveryPolicy,
    maxAttempts: context.settings.maxAttempts,
    turn,
    ...found,
  });
}

function originOf({ claimed, send }: Claim): CallOrigin {
  return send?.origin ?? { dialect: claimed.task.dialect, tenant: claimed.task.tenant, path: "/", headers: {} };
}

async function held(recorder: TaskRecorder, work: () => Promise<void>): Promise<void> {
  recorder.hold();
  try {
    await work();
    await recorder.settled();
  } finally {
    recorder.letGo();
  }
}
