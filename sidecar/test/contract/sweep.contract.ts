import { describe, expect, it } from "vitest";
import type { OpenStore } from "./task-store.contract.ts";
import { endingWrite, journaled, LEASE_MS, newTurn, startTask } from "./task-store-rows.ts";

const HOUR = 3600;
/** Everything that has ended is older than that, whatever is rounded how. */
const ANY_AGE = -10;

export function describeSweep(open: OpenStore): void {
  describe("the sweep (P12)", () => {
    it("takes a finished task with all that hangs on it, and nothing else", async () => {
      const store = await open();
      const [old, resting] = [await startTask(store), await startTask(store)];
      const config = { configId: "c", url: "https://example.com", dialect: "1.0" as const, sealed: Uint8Array.of(1) };
      for (const { taskId } of [old, resting]) await store.savePushConfig({ ...config, taskId });
      const call = await journaled(store, { taskId: old.taskId, purpose: "call", aside: true });
      await store.append([endingWrite(old.taskId, 1, old.turnId, "completed")]);
      await store.append([endingWrite(resting.taskId, 1, resting.turnId)]);
      expect(await store.sweep(HOUR, 10)).toEqual({ tasks: 0, turns: 0, instances: 0 });
      expect(await store.readView(old.taskId)).not.toBeNull();
      expect(await store.sweep(ANY_AGE, 10)).toEqual({ tasks: 1, turns: 0, instances: 0 });
      expect(await store.readTask(old.taskId)).toBeNull();
      expect(await store.readEvents(old.taskId, 0, 10, 1e6)).toEqual([]);
      expect(await store.readTurns([old.turnId, call.id])).toEqual([]);
      expect(await store.listPushConfigs(old.taskId)).toEqual([]);
      expect(await store.readTask(resting.taskId)).toMatchObject({ generation: 2 });
      expect(await store.readEvents(resting.taskId, 0, 10, 1e6)).toHaveLength(2);
      expect(await store.readTurn(resting.turnId)).not.toBeNull();
      expect(await store.listPushConfigs(resting.taskId)).toHaveLength(1);
    });

    it("leaves a turn that ended for as long as the window, and one that has not ended for ever", async () => {
      const store = await open({ idempotencyWindowSeconds: HOUR });
      const [ended, live] = [await journaled(store, { dedupeKey: "k" }), await journaled(store)];
      await store.endTurn({ turnId: ended.id, state: "done", reply: null, epoch: 1, instance: "a" });
      expect(await store.sweep(ANY_AGE, 10)).toMatchObject({ turns: 0 });
      expect(await store.journal(newTurn({ dedupeKey: "k" }))).toMatchObject({ kind: "joined" });
      expect(await store.readTurn(live.id)).not.toBeNull();
    });

    it("takes a turn whose window is over, but not at once: somebody may wait for its end", async () => {
      const store = await open({ idempotencyWindowSeconds: 0 });
      const turn = await journaled(store);
      await store.endTurn({ turnId: turn.id, state: "done", reply: null, epoch: 1, instance: "a" });
      expect(await store.sweep(HOUR, 10)).toMatchObject({ turns: 0 });
      const past = await open({ idempotencyWindowSeconds: -1 });
      const gone = await journaled(past);
      await past.endTurn({ turnId: gone.id, state: "done", reply: null, epoch: 1, instance: "a" });
      expect(await past.sweep(ANY_AGE, 10)).toMatchObject({ turns: 1 });
      expect(await past.readTurn(gone.id)).toBeNull();
    });

    it("forgets an instance long gone, but not one that holds work somebody has to claim", async () => {
      const store = await open();
      for (const id of ["a", "resting", "idle", "living"]) {
        await store.registerInstance({ id, podName: "", podUid: "" }, id === "living" ? LEASE_MS : -LEASE_MS);
      }
      await journaled(store);
      const task = await startTask(store, { turn: { instance: "resting", self: "resting" } });
      await store.append([endingWrite(task.taskId, 1, task.turnId)]);
      expect(await store.sweep(HOUR, 10)).toMatchObject({ instances: 0 });
      expect(await store.sweep(ANY_AGE, 10)).toMatchObject({ instances: 2 });
      expect((await store.listInstances()).map(({ id }) => id).sort()).toEqual(["a", "living"]);
    });

    it("goes in steps", async () => {
      const store = await open({ idempotencyWindowSeconds: -1 });
      for (let n = 0; n < 5; n += 1) {
        const { taskId, turnId } = await startTask(store);
        await store.append([endingWrite(taskId, 1, turnId, "failed")]);
        const turn = await journaled(store);
        await store.endTurn({ turnId: turn.id, state: "done", reply: null, epoch: 1, instance: "a" });
      }
      const steps = [await store.sweep(ANY_AGE, 2), await store.sweep(ANY_AGE, 2), await store.sweep(ANY_AGE, 2)];
      expect(steps.map(({ tasks }) => tasks)).toEqual([2, 2, 1]);
      expect(steps.every(({ turns }) => turns <= 2)).toBe(true);
      await store.sweep(ANY_AGE, 100);
      expect(await store.sweep(ANY_AGE, 100)).toEqual({ tasks: 0, turns: 0, instances: 0 });
      expect(await store.countTasks()).toEqual([]);
    });
  });
}
