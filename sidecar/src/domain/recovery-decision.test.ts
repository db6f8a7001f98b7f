import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import {
  type AgentWord,
  attemptDelayMs,
  decideRecovery,
  executorStarts,
  type RecoveryCase,
  type RecoveryDecision,
  reasonText,
  restartText,
} from "./recovery-decision.ts";
import { isTerminal, type TaskState } from "./task-state.ts";

type Turn = NonNullable<RecoveryCase["turn"]>;

const turn = (state: Turn["state"], more: Partial<Turn> = {}): Turn => ({
  state,
  attempt: state === "journaled" ? 1 : 2,
  handovers: 0,
  purpose: "send",
  ...more,
});
const given = (more: Partial<RecoveryCase>): RecoveryCase => ({
  policy: "Redispatch",
  maxAttempts: 3,
  turn: turn("bound"),
  taskState: "working",
  samePod: false,
  agentSays: "unknown",
  ...more,
});

describe("P4: what becomes of lost work", () => {
  it.each<[string, Partial<RecoveryCase>, RecoveryDecision]>([
    ["a message no agent has had is run", { turn: turn("journaled"), taskState: null }, { kind: "run" }],
    [
      "also where nothing may be repeated",
      { policy: "Fail", turn: turn("journaled"), taskState: null },
      { kind: "run" },
    ],
    [
      "also as a follow-up to a task that waits for it",
      { turn: turn("journaled"), taskState: "input-required" },
      { kind: "run" },
    ],
    [
      "an owner died before the first event",
      { turn: turn("dispatched"), taskState: null },
      { kind: "redispatch", attempt: 2, why: "OwnerGone" },
    ],
    ["an owner died at work", {}, { kind: "redispatch", attempt: 2, why: "OwnerGone" }],
    [
      "an owner died at work that waits for authorization",
      { taskState: "auth-required" },
      { kind: "redispatch", attempt: 2, why: "OwnerGone" },
    ],
    [
      "an owner died over an answer to input-required",
      { turn: turn("dispatched"), taskState: "input-required" },
      { kind: "redispatch", attempt: 2, why: "OwnerGone" },
    ],
    ["an owner died, nothing may be repeated", { policy: "Fail" }, { kind: "fail", reason: "PolicyFail" }],
    [
      "nor what may have begun without a word",
      { policy: "Fail", turn: turn("dispatched"), taskState: null },
      { kind: "fail", reason: "PolicyFail" },
    ],
    [
      "the last attempt that is allowed",
      { turn: turn("bound", { attempt: 3 }) },
      { kind: "redispatch", attempt: 3, why: "OwnerGone" },
    ],
    ["one more than allowed", { turn: turn("bound", { attempt: 4 }) }, { kind: "fail", reason: "AttemptsExhausted" }],
    [
      "P8: hand-overs are not counted",
      { turn: turn("bound", { attempt: 9, handovers: 6 }) },
      { kind: "redispatch", attempt: 9, why: "OwnerGone" },
    ],
    [
      "P8: but deaths beside them are",
      { turn: turn("bound", { attempt: 9, handovers: 5 }) },
      { kind: "fail", reason: "AttemptsExhausted" },
    ],
    ["no repetition at all", { maxAttempts: 1 }, { kind: "fail", reason: "AttemptsExhausted" }],
    ["a sidecar died beside its agent", { samePod: true }, { kind: "re-attach" }],
    [
      "also before the first event",
      { samePod: true, turn: turn("dispatched"), taskState: null },
      { kind: "re-attach" },
    ],
    ["also where nothing may be repeated", { samePod: true, policy: "Fail" }, { kind: "re-attach" }],
    [
      "also with no attempt left, since none is needed",
      { samePod: true, turn: turn("bound", { attempt: 7 }) },
      { kind: "re-attach" },
    ],
    ["the agent is still at it", { samePod: true, agentSays: "live" }, { kind: "re-attach" }],
    ["the agent has finished meanwhile", { samePod: true, agentSays: "at-rest" }, { kind: "re-attach" }],
    [
      "the agent has lost it",
      { samePod: true, agentSays: "gone" },
      { kind: "redispatch", attempt: 2, why: "AgentGone" },
    ],
    [
      "the agent's process died",
      { samePod: true, agentSays: "unreachable" },
      { kind: "redispatch", attempt: 2, why: "AgentGone" },
    ],
    [
      "the agent's process died, nothing may be repeated",
      { samePod: true, agentSays: "unreachable", policy: "Fail" },
      { kind: "fail", reason: "PolicyFail" },
    ],
    [
      "what another pod's agent says means nothing",
      { agentSays: "live" },
      { kind: "redispatch", attempt: 2, why: "OwnerGone" },
    ],
    ["an agent that went on by itself died with its pod", { turn: null }, { kind: "fail", reason: "OwnerGone" }],
    [
      "an agent that went on by itself lost it",
      { turn: null, samePod: true, agentSays: "gone" },
      { kind: "fail", reason: "AgentGone" },
    ],
    ["an agent that went on by itself may be at it", { turn: null, samePod: true }, { kind: "re-attach" }],
    ["a task that waits for its client stays", { turn: null, taskState: "input-required" }, { kind: "leave" }],
    ["P6: a finished task stays", { taskState: "completed" }, { kind: "leave" }],
    [
      "a call its agent has had",
      { turn: turn("dispatched", { purpose: "call" }) },
      { kind: "fail", reason: "OwnerGone" },
    ],
    [
      "a call for an agent that is gone",
      { turn: turn("journaled", { purpose: "call" }) },
      { kind: "fail", reason: "OwnerGone" },
    ],
    ["a call its agent has not had", { turn: turn("journaled", { purpose: "call" }), samePod: true }, { kind: "run" }],
  ])("%s", (_, more, decision) => {
    expect(decideRecovery(given(more))).toEqual(decision);
  });
});

const taskStates: (TaskState | null)[] = [
  null,
  "submitted",
  "working",
  "input-required",
  "auth-required",
  "completed",
  "failed",
  "canceled",
  "rejected",
  "unknown",
];
const words: AgentWord[] = ["unknown", "at-rest", "live", "gone", "unreachable"];

/** Every case there is, with up to five attempts of three. */
function* everyCase(): Iterable<RecoveryCase> {
  const turns: (Turn | null)[] = [null];
  for (const state of ["journaled", "dispatched", "bound"] as const)
    for (const attempt of [1, 2, 3, 4, 5])
      for (const handovers of [0, 1, 2])
        for (const purpose of ["send", "call"] as const) turns.push({ state, attempt, handovers, purpose });
  for (const policy of ["Redispatch", "Fail"] as const)
    for (const taskState of taskStates)
      for (const samePod of [true, false])
        for (const agentSays of words)
          for (const one of turns) yield { policy, maxAttempts: 3, turn: one, taskState, samePod, agentSays };
}

describe("in every case", () => {
  it.each<[string, (given: RecoveryCase, decision: RecoveryDecision) => boolean]>([
    [
      "P6: a finished task is left alone, and nothing else of a turn is",
      ({ taskState, turn: one }, { kind }) => {
        if (taskState !== null && isTerminal(taskState)) return kind === "leave";
        return one === null || kind !== "leave";
      },
    ],
    [
      "what no agent has had is run, whatever the policy",
      ({ turn: one, taskState }, { kind }) =>
        one?.state !== "journaled" ||
        one.purpose === "call" ||
        kind === "run" ||
        (taskState !== null && isTerminal(taskState)),
    ],
    [
      "what an agent may have had is never run as if it had not",
      ({ turn: one }, { kind }) => one === null || one.state === "journaled" || kind !== "run",
    ],
    ["the policy Fail repeats nothing", ({ policy }, { kind }) => policy !== "Fail" || kind !== "redispatch"],
    [
      "no more executors are started than allowed",
      ({ turn: one, maxAttempts }, { kind }) =>
        kind !== "redispatch" || (one !== null && executorStarts(one) <= maxAttempts),
    ],
    [
      "only the pod's own agent is asked, and not once it has said no",
      ({ samePod, agentSays }, { kind }) =>
        kind !== "re-attach" || (samePod && agentSays !== "gone" && agentSays !== "unreachable"),
    ],
    [
      "live work is not left lying",
      ({ taskState, turn: one }, { kind }) =>
        kind !== "leave" || one === null || (taskState !== null && isTerminal(taskState)),
    ],
    [
      "an attempt keeps the number it was claimed with",
      ({ turn: one }, decision) => decision.kind !== "redispatch" || decision.attempt === one?.attempt,
    ],
  ])("%s", (_, holds) => {
    const broken = [...everyCase()].filter((one) => !holds(one, decideRecovery(one)));
    expect(broken).toEqual([]);
  });
});

describe("the wait before an attempt", () => {
  it.each([
    [1, 0, 0],
    [2, 0, 0],
    [3, 0, 500],
    [4, 0, 1_000],
    [5, 0, 2_000],
    [8, 0, 16_000],
    [9, 0, 25_000],
    [400, 0, 25_000],
    [5, 3, 0],
    [5, 2, 500],
  ])("attempt %s with %s hand-overs waits about %s ms", (attempt, handovers, aboutMs) => {
    expect(attemptDelayMs({ attempt, handovers }, 0.5)).toBeCloseTo(aboutMs);
    expect(attemptDelayMs({ attempt, handovers }, 0)).toBeCloseTo(aboutMs * 0.8);
  });

  test("is spread by a fifth to both sides and never over 30 s", () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 60 }), random, (attempt, chance) => {
        const delayMs = attemptDelayMs({ attempt, handovers: 0 }, chance);
        const middleMs = attemptDelayMs({ attempt, handovers: 0 }, 0.5);
        expect(delayMs).toBeLessThanOrEqual(30_000);
        expect(Math.abs(delayMs - middleMs)).toBeLessThanOrEqual(middleMs * 0.2 + 1e-6);
      }),
    );
  });
});

describe("what users read", () => {
  test("every reason is a sentence of its own", () => {
    const texts = Object.values(reasonText);
    expect(new Set(texts).size).toBe(texts.length);
    for (const text of texts) expect(text).toMatch(/^[A-Z].*\.$/);
  });

  test("a restart says its number and its cause", () => {
    expect(restartText({ attempt: 2, why: "OwnerGone" })).toContain("(attempt 2)");
    expect(restartText({ attempt: 2, why: "OwnerGone" })).not.toBe(restartText({ attempt: 2, why: "AgentGone" }));
  });
});
