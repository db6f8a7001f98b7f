/**
 * What becomes of work whose run was lost: its owner is gone, has given it up, or the agent died under a living owner
 * (P4). One pure decision, so that every case is a row of a table.
 */
import type { TurnPurpose, TurnState } from "../ports/task-store.ts";
import { isAtRest, isTerminal, type TaskState } from "./task-state.ts";

/** `Redispatch`: at least once, at most `maxAttempts`. `Fail`: what may have started is never started again. */
export type RecoveryPolicy = "Redispatch" | "Fail";

/**
 * What the agent of the former owner's pod says of the run: `unknown` = not asked yet, `at-rest` and `live` = it has the
 * task, `gone` = it does not know it or runs nothing, `unreachable` = its process died. Without meaning where the former
 * owner ran in another pod: the agent here has never heard of the run.
 */
export type AgentWord = "unknown" | "at-rest" | "live" | "gone" | "unreachable";

/** Why work was started again or ended. A closed set: it is a metric label and a key of {@link reasonText}. */
export type RecoveryReason =
  | "PolicyFail"
  | "AttemptsExhausted"
  | "OwnerGone"
  | "AgentGone"
  | "AgentUnclear"
  | "CredentialsRefused";

export interface RecoveryCase {
  policy: RecoveryPolicy;
  /** Most executor starts of one turn; hand-overs are not counted (P8). */
  maxAttempts: number;
  /** The turn in flight; null when the agent went on by itself. */
  turn: {
    /** Where it stood before it was claimed. `journaled` was never given to an agent. */
    state: Extract<TurnState, "journaled" | "dispatched" | "bound">;
    /** Number of the attempt that would begin. */
    attempt: number;
    handovers: number;
    purpose: TurnPurpose;
  } | null;
  /** Null: nothing is recorded of the task yet. */
  taskState: TaskState | null;
  /** The former owner ran in this instance's pod, or is this instance: its agent may still be at work. */
  samePod: boolean;
  agentSays: AgentWord;
}

/**
 * `run`: give the message to the agent, for the first time. `re-attach`: the agent may still have the run, ask it.
 * `redispatch`: give it the message again, as this attempt. `fail`: end the task, or the turn, as failed. `leave`: there
 * is nothing to do until a client speaks.
 */
export type RecoveryDecision =
  | { kind: "run" }
  | { kind: "re-attach" }
  | { kind: "redispatch"; attempt: number; why: Extract<RecoveryReason, "OwnerGone" | "AgentGone"> }
  | { kind: "fail"; reason: RecoveryReason }
  | { kind: "leave" };

/** Decides. After a `re-attach` that found nothing it is asked again, with `gone` or `unreachable`. */
export function decideRecovery(given: RecoveryCase): RecoveryDecision {
  const { policy, maxAttempts, turn, taskState, samePod, agentSays } = given;
  if (taskState !== null && isTerminal(taskState)) return { kind: "leave" };
  const why = samePod ? "AgentGone" : "OwnerGone";
  const mayStillRun = samePod && agentSays !== "gone" && agentSays !== "unreachable";
  if (turn === null) {
    if (taskState === null || isAtRest(taskState)) return { kind: "leave" };
    return mayStillRun ? { kind: "re-attach" } : { kind: "fail", reason: why };
  }
  // Only the task's own agent can answer a call, and only once.
  if (turn.purpose === "call") {
    return turn.state === "journaled" && samePod ? { kind: "run" } : { kind: "fail", reason: why };
  }
  if (turn.state === "journaled") return { kind: "run" };
  if (mayStillRun) return { kind: "re-attach" };
  if (policy === "Fail") return { kind: "fail", reason: "PolicyFail" };
  if (executorStarts(turn) > maxAttempts) return { kind: "fail", reason: "AttemptsExhausted" };
  return { kind: "redispatch", attempt: turn.attempt, why };
}

/** How often an executor was started for a turn once this attempt runs, as {@link RecoveryCase.maxAttempts} counts. */
export function executorStarts(turn: { attempt: number; handovers: number }): number {
  return turn.attempt - turn.handovers;
}

const FIRST_DELAY_MS = 500;
/** With the jitter on top no delay is longer than 30 s, and the longest ones still differ. */
const LONGEST_DELAY_MS = 25_000;
const JITTER = 0.2;

/**
 * How long an attempt waits before it starts: the first two not at all, then 0.5 s, doubling to at most 30 s, each
 * ± 20 %, so that what died together does not come back together. `random` is in [0, 1).
 */
export function attemptDelayMs(turn: { attempt: number; handovers: number }, random: number): number {
  const starts = executorStarts(turn);
  if (starts <= 2) return 0;
  const delayMs = Math.min(FIRST_DELAY_MS * 2 ** (starts - 3), LONGEST_DELAY_MS);
  return delayMs * (1 - JITTER + 2 * JITTER * random);
}

/** What users read in the message of a failed status. */
export const reasonText: Record<RecoveryReason, string> = {
  PolicyFail:
    "The work was interrupted and may not be repeated: this agent's recovery policy is Fail. Send the message again to start over.",
  AttemptsExhausted: "The work was interrupted and started again as often as allowed, without reaching an end.",
  OwnerGone: "The instance that ran this task is gone, and with it the work that was under way.",
  AgentGone: "The agent's process ended, and with it the work that was under way.",
  AgentUnclear:
    "The agent gives no usable answer to the question how the work goes on, so that its end could not be learned.",
  CredentialsRefused:
    "The agent no longer accepts the caller's credentials: the work can be neither followed nor started again.",
};

/** What users read in the message of the working status with which a new attempt begins. */
export function restartText(redispatch: {
  attempt: number;
  why: Extract<RecoveryReason, "OwnerGone" | "AgentGone">;
}): string {
  const cause = redispatch.why === "OwnerGone" ? "the instance that ran it is gone" : "the agent's process ended";
  return `The work was restarted, because ${cause} (attempt ${redispatch.attempt}). What was shown of the interrupted attempt is replaced.`;
}
