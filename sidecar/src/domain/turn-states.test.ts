import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import type { TurnState } from "../ports/task-store.ts";
import { nextTurnState, type TurnStep, turnTransitions } from "./turn-states.ts";

const states = Object.keys(turnTransitions) as TurnState[];
const steps = Object.keys(turnTransitions.queued) as TurnStep[];
const live: TurnState[] = ["queued", "journaled", "dispatched", "bound"];

/** The states a turn goes through from `start`; refused steps leave it where it is. */
function walk(start: TurnState, path: TurnStep[]): TurnState[] {
  const visited = [start];
  for (const step of path) {
    const next = nextTurnState(visited.at(-1) as TurnState, step);
    if (next !== "refused") visited.push(next);
  }
  return visited;
}

describe("the life of a turn", () => {
  it.each<[string, TurnState, TurnStep[], TurnState]>([
    ["a message that is answered with a task", "journaled", ["take", "bind", "end"], "done"],
    ["one that is answered with a message or an error", "journaled", ["take", "end"], "done"],
    ["one whose journaling instance runs it", "dispatched", ["bind", "end"], "done"],
    ["one that waits behind another", "queued", ["promote", "take", "bind", "end"], "done"],
    ["one that waits when its task ends", "queued", ["task-ended"], "failed"],
    ["one that nobody took before the task ended", "journaled", ["task-ended"], "failed"],
    ["one at the agent when its task is canceled before it said anything", "dispatched", ["task-ended"], "failed"],
    ["one with events when its task is canceled", "bound", ["task-ended"], "done"],
    ["one that is given to another instance first", "journaled", ["reassign", "take"], "dispatched"],
    ["one whose owner died before it took it", "journaled", ["claim", "bind"], "bound"],
    ["one whose owner died at work", "dispatched", ["claim", "bind", "claim", "end"], "done"],
    ["one that a drain hands over before its first event", "dispatched", ["release", "claim", "bind"], "bound"],
    ["one that a drain hands over with events", "bound", ["release", "claim", "end"], "done"],
    ["one that a drain hands over unstarted is still unstarted", "journaled", ["release"], "journaled"],
    ["one that is given up", "bound", ["claim", "fail"], "failed"],
  ])("%s", (_, start, path, end) => {
    expect(walk(start, path)).toHaveLength(path.length + 1);
    expect(walk(start, path).at(-1)).toBe(end);
  });

  it.each<[string, TurnState, TurnStep]>([
    ["I5: a turn at the agent is not taken again", "dispatched", "take"],
    ["I5: nor one with events", "bound", "take"],
    ["I2: an attempt that was given back cannot bind", "journaled", "bind"],
    ["a turn that waits is not claimed by itself", "queued", "claim"],
    ["a turn at the agent is not reassigned", "dispatched", "reassign"],
    ["a turn that was never taken has nothing to end with", "journaled", "end"],
    ["a first event is first once", "bound", "bind"],
  ])("%s", (_, state, step) => {
    expect(nextTurnState(state, step)).toBe("refused");
  });
});

describe("every path", () => {
  const path = fc.array(fc.constantFrom(...steps), { maxLength: 30 });

  test("what is over stays over", () => {
    for (const state of ["done", "failed"] as const) {
      expect(steps.map((step) => nextTurnState(state, step))).toEqual(steps.map(() => "refused"));
    }
  });

  test("P4: whatever lives can be claimed, or follows a task that can, and can be ended", () => {
    for (const state of live) expect(nextTurnState(state, "task-ended")).toMatch(/done|failed/);
    for (const state of live) expect(nextTurnState(state, "fail")).toBe("failed");
    expect(live.filter((state) => nextTurnState(state, "claim") === "refused")).toEqual(["queued"]);
  });

  test("I5: a turn that may have run is never again one that has not", () => {
    fc.assert(
      fc.property(fc.constantFrom(...states), path, (start, taken) => {
        const visited = walk(start, taken);
        const started = visited.findIndex((state) => state === "dispatched" || state === "bound");
        fc.pre(started !== -1);
        expect(visited.slice(started)).not.toContain("journaled");
        expect(visited.slice(started)).not.toContain("queued");
      }),
    );
  });

  test("a drain changes no state: it is the holder that changes", () => {
    for (const state of ["journaled", "dispatched", "bound"] as const) {
      expect(nextTurnState(state, "release")).toBe(state);
    }
  });
});
