import { describe, expect, it } from "vitest";
import type { OpenStore } from "./task-store.contract.ts";
import {
  COMMITTED,
  endingWrite,
  headOf,
  journaled,
  LEASE_MS,
  startTask,
  statusEvent,
  writeOf,
} from "./task-store-rows.ts";

const HEADERS = Uint8Array.of(1, 0, 2);

export function describeCancels(open: OpenStore): void {
  describe("cancel marks", () => {
    it("a mark is work of the owner until it is taken, once", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      const cancel = { headers: HEADERS, taken: false, error: null };
      expect(await store.requestCancel(taskId, HEADERS)).toMatchObject({ kind: "marked", task: { taskId, cancel } });
      expect((await store.findWork("a")).cancelTaskIds).toEqual([taskId]);
      expect((await store.findWork("b")).cancelTaskIds).toEqual([]);
      expect(await store.takeCancel(taskId, "b")).toBeNull();
      const takes = await Promise.all([1, 2, 3].map(() => store.takeCancel(taskId, "a")));
      const [taken, ...more] = takes.filter((task) => task !== null);
      expect(more).toEqual([]);
      expect(taken).toMatchObject({ taskId, epoch: 2, cancel: { headers: HEADERS, taken: true, error: null } });
      expect((await store.findWork("a")).cancelTaskIds).toEqual([]);
    });

    it("a second request finds the mark as it is", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      await store.requestCancel(taskId, HEADERS);
      await store.takeCancel(taskId, "a");
      const again = await store.requestCancel(taskId, null);
      expect(again).toMatchObject({ kind: "marked", task: { cancel: { headers: HEADERS, taken: true } } });
    });

    it("the agent's refusal is kept for those who wait, and the next request replaces it", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      expect(await store.refuseCancel(taskId, 2, "{}")).toBe(false);
      await store.requestCancel(taskId, HEADERS);
      await store.takeCancel(taskId, "a");
      expect(await store.refuseCancel(taskId, 1, "{}")).toBe(false);
      expect(await store.refuseCancel(taskId, 2, '{"code":-32002}')).toBe(true);
      const refused = { headers: null, taken: true, error: '{"code":-32002}' };
      expect((await store.readTask(taskId))?.cancel).toEqual(refused);
      const next = await store.requestCancel(taskId, HEADERS);
      expect(next).toMatchObject({ task: { cancel: { headers: HEADERS, taken: false, error: null } } });
    });

    it("an answered mark is cleared by the write that answers it", async () => {
      const store = await open();
      const { taskId, turnId } = await startTask(store);
      await store.requestCancel(taskId, HEADERS);
      await store.takeCancel(taskId, "a");
      await store.append([writeOf(taskId, 1)]);
      expect((await store.readTask(taskId))?.cancel).not.toBeNull();
      await store.append([{ ...endingWrite(taskId, 2, turnId), cancelAnswered: true }]);
      expect((await store.readTask(taskId))?.cancel).toBeNull();
    });

    it("P6: a finished task is not marked, and loses the mark it had", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      await store.requestCancel(taskId, HEADERS);
      await store.append([writeOf(taskId, 1, { head: headOf("completed") })]);
      expect(await store.takeCancel(taskId, "a")).toBeNull();
      expect(await store.requestCancel(taskId, HEADERS)).toMatchObject({
        kind: "terminal",
        task: { state: "completed", cancel: null },
      });
      expect(await store.requestCancel("unknown", null)).toEqual({ kind: "no-task" });
    });

    it("P5: deposing the owner commits the status, fences the owner and ends every turn", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      const { taskId, turnId } = await startTask(store);
      const queued = await journaled(store, { taskId });
      const canceled = { ...writeOf(taskId, 1, { events: [statusEvent("C")], head: headOf("canceled") }), self: "b" };
      expect(await store.deposeAndCancel(canceled)).toBeNull();
      await store.requestCancel(taskId, HEADERS);
      const outcome = await store.deposeAndCancel({ ...canceled, snapshot: { task: "S" } });
      expect(outcome).toMatchObject({ epoch: 3 });
      expect(outcome?.ended.toSorted()).toEqual([turnId, queued.id].sort());
      const task = { state: "canceled", owner: "b", epoch: 3, generation: 2, cancel: null };
      expect(await store.readTask(taskId)).toMatchObject(task);
      expect(await store.readEvents(taskId, 1, 1, 1)).toMatchObject([{ generation: 2, epoch: 3, payload: "C" }]);
      expect(await store.readTurn(turnId)).toMatchObject({ state: "done", lastGeneration: 2, headers: null });
      expect(await store.readTurn(queued.id)).toMatchObject({ state: "failed" });
      expect(await store.append([writeOf(taskId, 1)])).toEqual([{ kind: "fenced" }]);
      expect(await store.append([writeOf(taskId, 2)])).toEqual([{ kind: "fenced" }]);
      expect((await store.readView(taskId))?.snapshot).toEqual({ generation: 2, task: "S" });
    });

    it.each([
      ["the generation moved", async () => {}, { expected: 7 }],
      ["the epoch moved", async () => {}, { epoch: 7 }],
    ])("does not depose when %s", async (_, __, write) => {
      const store = await open();
      const { taskId } = await startTask(store);
      await store.requestCancel(taskId, null);
      const canceled = { ...writeOf(taskId, 1, { head: headOf("canceled") }), ...write, self: "b" };
      expect(await store.deposeAndCancel(canceled)).toBeNull();
      expect(await store.append([writeOf(taskId, 1)])).toEqual([COMMITTED]);
    });

    it("of the owner that takes the mark and the canceller that deposes, one wins", async () => {
      const store = await open();
      for (let round = 0; round < 10; round += 1) {
        const { taskId } = await startTask(store);
        await store.requestCancel(taskId, null);
        const canceled = { ...writeOf(taskId, 1, { head: headOf("canceled") }), self: "b" };
        const [taken, deposed] = await Promise.all([store.takeCancel(taskId, "a"), store.deposeAndCancel(canceled)]);
        expect([taken === null, deposed === null].filter(Boolean)).toHaveLength(1);
      }
    });

    it("keeps push configurations: the last one of an id, sealed bytes and all", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      const config = { taskId, configId: "c", url: "https://example.com", dialect: "1.0" as const, sealed: HEADERS };
      await store.savePushConfig({ ...config, url: "https://old.example.com" });
      await store.savePushConfig(config);
      await store.savePushConfig({ ...config, configId: "d" });
      const rows = (await store.listPushConfigs(taskId)).map((row) => ({
        ...row,
        sealed: Uint8Array.from(row.sealed),
      }));
      expect(rows).toEqual([config, { ...config, configId: "d" }]);
      await store.deletePushConfig(taskId, "c");
      await store.deletePushConfig(taskId, "c");
      expect((await store.listPushConfigs(taskId)).map(({ configId }) => configId)).toEqual(["d"]);
      expect(await store.listPushConfigs("unknown")).toEqual([]);
    });
  });
}
