/**
 * What an instance does with work it has claimed: re-attach where the agent of this very pod may still be at it, else by
 * policy start it again or end it as failed (P4). Nothing stays `working` because its pod is gone.
 */
import { decideRecovery, type RecoveryDecision, restartText } from "../domain/recovery-decision.ts";
import type { ClaimedTask, ClaimedTurn } from "../ports/recovery-store.ts";
import type { CallOrigin } from "./agent-calls.ts";
import { findAgentTask } from "./find-agent-task.ts";
import { createTask } from "./create-task.ts";
import { followRun, reattach } from "./follow-run.ts";
import type { FlowContext } from "./flow-context.ts";
import { endRun, settleRun } from "./settle-run.ts";
import { retryStore } from "./retry-store.ts";
import { failUnbound } from "./deliver-message.ts";
import { runAttempt } from "./run-attempt.ts";
import { openSend, type OpenSend } from "./open-turn.ts";
import { runFollowUp } from "./run-follow-up.ts";
import { runTurn } from "./run-turn.ts";
import { TaskRecorder } from "./task-recorder.ts";

/** A claimed message that has no task. */
export async function recoverTurn(context: FlowContext, claimed: ClaimedTurn): Promise<void> {
  const { turn: row } = claimed;
  const decision = decide(context, claimed, { taskState: null, samePod: claimed.samePod, agentSays: "unknown" });
  const send = openSend(context, row);
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
  return runTurn(context, row);
}

/** A claimed task: its turn in flight, or an agent that went on without one. */
export async function recoverTask(context: FlowContext, claimed: ClaimedTask): Promise<void> {
  const { taskId, epoch } = claimed.task;
  const view = await retryStore(context, () => context.store.readView(taskId));
  if (!view || view.task.epoch !== epoch) return;
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
  const { samePod, task } = claimed;
  let decision = decide(context, claimed.turn, { taskState: task.state, samePod, agentSays: "unknown" });
  if (decision.kind === "re-attach") {
    if (recorder.agentTaskId !== "") {
      return settleRun(context, send, recorder, await reattach(context, recorder, originOf(claim)));
    }
    decision = decide(context, claimed.turn, { taskState: task.state, samePod, agentSays: "gone" });
  }
  if (decision.kind === "fail") return endRun(context, recorder, decision.reason);
  if (decision.kind === "leave" || !send) return;
  // No agent has had it: where the one here knows the task, it continues the task.
  if (decision.kind === "run") return runFollowUp(context, send);
  const why = decision.kind === "redispatch" ? restartText({ attempt: decision.attempt, why: decision.why }) : null;
  const end = await runAttempt(context, send, recorder, recorder.turn?.firstGeneration === null ? null : why);
  await settleRun(context, send, recorder, end);
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
