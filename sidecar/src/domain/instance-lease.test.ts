import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import {
  advanceLease,
  type InstanceLease,
  type LeaseAction,
  type LeaseEvent,
  leaseTransitions,
  mayAct,
  openLease,
} from "./instance-lease.ts";

const LEASE_MS = 5_000;
/** A renewal sent at 0 and answered at 10: to be trusted until 4 000. */
const held = advanceLease(openLease(LEASE_MS), { kind: "renewed", sentAtMs: 0, nowMs: 10 }).lease;
const overdue = advanceLease(held, { kind: "tick", nowMs: 4_000 }).lease;
const gone = advanceLease(held, { kind: "stopping", nowMs: 20 }).lease;
const after = (lease: InstanceLease, event: LeaseEvent): [state: string, actions: LeaseAction[]] => {
  const { lease: next, actions } = advanceLease(lease, event);
  return [next.state, actions];
};

describe("the instance's own lease", () => {
  it.each<[string, InstanceLease, LeaseEvent, string, LeaseAction[]]>([
    ["registered", openLease(LEASE_MS), { kind: "renewed", sentAtMs: 0, nowMs: 10 }, "held", ["reclaim"]],
    ["not registered yet", openLease(LEASE_MS), { kind: "failed", nowMs: 10 }, "unregistered", []],
    ["time passes before it is registered", openLease(LEASE_MS), { kind: "tick", nowMs: 9_999 }, "unregistered", []],
    ["stopped before it was registered", openLease(LEASE_MS), { kind: "stopping", nowMs: 1 }, "gone", ["release"]],
    ["renewed in time", held, { kind: "renewed", sentAtMs: 1_600, nowMs: 1_700 }, "held", []],
    [
      "renewed in time, answered after the old deadline",
      held,
      { kind: "renewed", sentAtMs: 3_900, nowMs: 4_100 },
      "held",
      ["suspend", "reclaim"],
    ],
    [
      "a renewal that was answered when its own deadline was over",
      held,
      { kind: "renewed", sentAtMs: 1_600, nowMs: 5_600 },
      "overdue",
      ["suspend"],
    ],
    ["time passes within the deadline", held, { kind: "tick", nowMs: 3_999 }, "held", []],
    ["time passes the deadline", held, { kind: "tick", nowMs: 4_000 }, "overdue", ["suspend"]],
    ["a failed renewal within the deadline", held, { kind: "failed", nowMs: 3_999 }, "held", []],
    ["a failed renewal past the deadline", held, { kind: "failed", nowMs: 4_000 }, "overdue", ["suspend"]],
    ["the row is missing", held, { kind: "refused", nowMs: 100 }, "unregistered", ["register"]],
    ["the process stops", held, { kind: "stopping", nowMs: 100 }, "gone", ["release"]],
    ["still overdue", overdue, { kind: "tick", nowMs: 60_000 }, "overdue", []],
    ["overdue and the store is away", overdue, { kind: "failed", nowMs: 60_000 }, "overdue", []],
    ["overdue, then renewed", overdue, { kind: "renewed", sentAtMs: 60_000, nowMs: 60_010 }, "held", ["reclaim"]],
    ["overdue, and the row is missing", overdue, { kind: "refused", nowMs: 60_000 }, "unregistered", ["register"]],
    ["overdue, then stopped", overdue, { kind: "stopping", nowMs: 60_000 }, "gone", ["release"]],
    ["a renewal that comes after the stop", gone, { kind: "renewed", sentAtMs: 15, nowMs: 30 }, "gone", []],
    ["a refusal after the stop", gone, { kind: "refused", nowMs: 30 }, "gone", []],
    ["stopped twice", gone, { kind: "stopping", nowMs: 30 }, "gone", []],
  ])("%s", (_, lease, event, state, actions) => {
    expect(after(lease, event)).toEqual([state, actions]);
  });

  test("a row that went missing is waited for as for the first one", () => {
    const { lease } = advanceLease(held, { kind: "refused", nowMs: 100 });
    expect(mayAct(lease, 101)).toBe(false);
    expect(after(lease, { kind: "renewed", sentAtMs: 200, nowMs: 210 })).toEqual(["held", ["reclaim"]]);
  });

  test("answers out of order never bring the deadline forward", () => {
    const { lease } = advanceLease(held, { kind: "renewed", sentAtMs: 2_000, nowMs: 2_010 });
    expect(advanceLease(lease, { kind: "renewed", sentAtMs: 1_000, nowMs: 2_020 }).lease.deadlineMs).toBe(6_000);
  });
});

const event = fc.record({
  afterMs: fc.oneof({ weight: 6, arbitrary: fc.nat(2_000) }, { weight: 1, arbitrary: fc.nat(20_000) }),
  latencyMs: fc.oneof({ weight: 6, arbitrary: fc.nat(50) }, { weight: 1, arbitrary: fc.nat(9_000) }),
  kind: fc.constantFrom<LeaseEvent["kind"]>("renewed", "renewed", "renewed", "failed", "tick", "refused"),
});

/** Runs random events; `step` sees each lease, what was asked for, and the last good renewal's sending time. */
function simulate(
  events: { afterMs: number; latencyMs: number; kind: LeaseEvent["kind"] }[],
  step: (lease: InstanceLease, actions: LeaseAction[], at: { nowMs: number; sentAtMs: number | null }) => void,
): void {
  let lease = openLease(LEASE_MS);
  let nowMs = 0;
  let sentAtMs: number | null = null;
  for (const { afterMs, latencyMs, kind } of events) {
    nowMs += afterMs + latencyMs;
    const given: LeaseEvent = kind === "renewed" ? { kind, sentAtMs: nowMs - latencyMs, nowMs } : { kind, nowMs };
    if (given.kind === "renewed") sentAtMs = Math.max(sentAtMs ?? given.sentAtMs, given.sentAtMs);
    if (given.kind === "refused") sentAtMs = null;
    const { lease: next, actions } = advanceLease(lease, given);
    lease = next;
    step(lease, actions, { nowMs, sentAtMs });
  }
}

describe("I7: past its own deadline an instance does nothing", () => {
  test("it acts only within 0.8 of a lease after a renewal that it sent and that was not refused since", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.nat(9_000), (events, laterMs) => {
        simulate(events, (lease, _, { nowMs, sentAtMs }) => {
          const askedMs = nowMs + laterMs;
          expect(mayAct(lease, askedMs)).toBe(sentAtMs !== null && askedMs < sentAtMs + 0.8 * LEASE_MS);
        });
      }),
    );
  });

  test("between a moment in which it might not act and the next in which it may, it reclaims", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        let before: InstanceLease = openLease(LEASE_MS);
        simulate(events, (lease, actions, { nowMs }) => {
          const resumes = !mayAct(before, nowMs) && mayAct(lease, nowMs);
          expect(actions.includes("reclaim")).toBe(resumes);
          before = lease;
        });
      }),
    );
  });

  test("whoever holds is told to suspend before anything else when the deadline has passed unnoticed", () => {
    expect(after(held, { kind: "renewed", sentAtMs: 90_000, nowMs: 90_010 })).toEqual(["held", ["suspend", "reclaim"]]);
    expect(after(held, { kind: "stopping", nowMs: 90_000 })).toEqual(["gone", ["suspend", "release"]]);
  });

  test("stopped is stopped", () => {
    for (const { next, action } of Object.values(leaseTransitions.gone)) {
      expect([next, action]).toEqual(["gone", null]);
    }
  });
});
