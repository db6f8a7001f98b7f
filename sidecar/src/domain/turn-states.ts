import type { TurnState } from "../ports/task-store.ts";

/**
 * What can happen to a turn. `promote`: the turns before it have ended. `take`: its instance hands it to the agent. `bind`:
 * its first event is recorded. `end`, `fail`: it is over. `claim`: another instance takes it over. `release`: its holder
 * gives it up (drain). `reassign`: it is given to another instance before anybody took it. `task-ended`: its task became
 * terminal through something else.
 */
export type TurnStep = "promote" | "take" | "bind" | "end" | "fail" | "claim" | "release" | "reassign" | "task-ended";

/**
 * Every state meets every step. A turn is dispatched by exactly one `take` or `claim` per attempt (I5); a released or
 * claimed turn keeps what is known of it: one that was dispatched may have run, one that is bound has events. Queued
 * turns belong to their task and are neither claimed nor released by themselves.
 */
export const turnTransitions = {
  queued: {
    promote: "journaled",
    take: "refused",
    bind: "refused",
    end: "refused",
    fail: "failed",
    claim: "refused",
    release: "refused",
    reassign: "refused",
    "task-ended": "failed",
  },
  journaled: {
    promote: "refused",
    take: "dispatched",
    bind: "refused",
    end: "refused",
    fail: "failed",
    claim: "dispatched",
    release: "journaled",
    reassign: "journaled",
    "task-ended": "failed",
  },
  dispatched: {
    promote: "refused",
    take: "refused",
    bind: "bound",
    end: "done",
    fail: "failed",
    claim: "dispatched",
    release: "dispatched",
    reassign: "refused",
    "task-ended": "failed",
  },
  bound: {
    promote: "refused",
    take: "refused",
    bind: "refused",
    end: "done",
    fail: "failed",
    claim: "bound",
    release: "bound",
    reassign: "refused",
    "task-ended": "done",
  },
  done: {
    promote: "refused",
    take: "refused",
    bind: "refused",
    end: "refused",
    fail: "refused",
    claim: "refused",
    release: "refused",
    reassign: "refused",
    "task-ended": "refused",
  },
  failed: {
    promote: "refused",
    take: "refused",
    bind: "refused",
    end: "refused",
    fail: "refused",
    claim: "refused",
    release: "refused",
    reassign: "refused",
    "task-ended": "refused",
  },
} as const satisfies Record<TurnState, Record<TurnStep, TurnState | "refused">>;

/** The state after a step; `refused` where the step does not apply and nothing may change. */
export function nextTurnState(state: TurnState, step: TurnStep): TurnState | "refused" {
  return turnTransitions[state][step];
}
