import { describe, expect, test } from "vitest";
import { SnapshotPolicy } from "./snapshot-policy.ts";

const event = (chars: number) => ({ payload: "x".repeat(chars) });

describe("SnapshotPolicy", () => {
  test("the end of a turn takes one, unless nothing was recorded since the last", () => {
    const policy = new SnapshotPolicy(0, 0);
    expect(policy.isDue([], true)).toBe(false);
    expect(policy.isDue([event(1)], true)).toBe(true);
    policy.taken(10);
    expect(policy.isDue([], true)).toBe(false);
  });

  test("a tail that has outgrown the last snapshot takes one", () => {
    const policy = new SnapshotPolicy(10_000, 9_000);
    expect(policy.isDue([event(1_000)], false)).toBe(false);
    expect(policy.isDue([event(1)], false)).toBe(true);
  });

  test("the snapshots of n events are O(n) characters together", () => {
    const written = (events: number) => {
      const policy = new SnapshotPolicy(0, 0);
      let [fold, total] = [0, 0];
      for (let count = 0; count < events; count++) {
        fold += 200;
        if (!policy.isDue([event(200)], false)) continue;
        policy.taken(fold);
        total += fold;
      }
      return total;
    };
    expect(written(100_000) / written(10_000)).toBeLessThan(20);
    expect(written(100_000)).toBeLessThan(3 * 100_000 * 200);
  });
});
