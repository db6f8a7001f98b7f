import { expect, test } from "vitest";
import type { Clock } from "../ports/clock.ts";
import { InstanceHolder } from "./hold-instance.ts";

const LEASE_MS = 5_000;

test("P5: answers that come late, but within a deadline, cost nothing: the next renewal does not wait for longer", async () => {
  // Two such answers fit into the deadline, a pause of a third of a lease between them does not.
  const answerMs = 1_900;
  let nowMs = 0;
  const clock: Clock = {
    monotonicMs: () => nowMs,
    now: () => new Date(nowMs),
    sleep: async (ms) => {
      nowMs += ms;
    },
  };
  const mayAct: boolean[] = [];
  const enough = Promise.withResolvers<void>();
  const answer = async (): Promise<true> => {
    nowMs += answerMs;
    mayAct.push(holder.mayAct());
    if (mayAct.length === 5) enough.resolve();
    await Promise.resolve();
    return true;
  };
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const store = {
    registerInstance: () => Promise.resolve(),
    renewInstance: () => answer(),
    removeInstance: () => Promise.resolve(),
  };
  const holder = new InstanceHolder({ store, clock, log }, { id: "a", podName: "", podUid: "" }, LEASE_MS);
  holder.start();
  await enough.promise;
  await holder.stop();
  expect(mayAct).toEqual([true, true, true, true, true]);
});
