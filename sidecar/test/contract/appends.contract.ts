import { describe, expect, it } from "vitest";
import { StoreError } from "../../src/ports/task-store.ts";
import type { OpenStore } from "./task-store.contract.ts";
import { COMMITTED, endingWrite, headOf, startTask, statusEvent, writeOf } from "./task-store-rows.ts";

export function describeAppends(open: OpenStore): void {
  describe("appends", () => {
    it("I1: numbers events without gaps and moves the head with them", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      const head = headOf("working", "2026-01-01T00:00:00.000Z", "moved");
      const events = [statusEvent("1"), statusEvent("2"), { kind: "artifact" as const, payload: "3", hidden: "[]" }];
      expect(await store.append([writeOf(taskId, 1, { events, head, attempt: 3 })])).toEqual([COMMITTED]);
      const rows = await store.readEvents(taskId, 1, 10, 1e6);
      expect(rows.map((row) => row.generation)).toEqual([2, 3, 4]);
      expect(rows[2]).toEqual({ kind: "artifact", payload: "3", hidden: "[]", generation: 4, epoch: 2, attempt: 3 });
      expect(await store.readTask(taskId)).toMatchObject({
        generation: 4,
        statusTimestamp: "2026-01-01T00:00:00.000Z",
        contextId: "moved",
      });
    });

    it("keeps every byte of a payload", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      const payload = '{"b":1,"a":12345678901234567890,"a":1e400,"s":"\\u0000 \\"\\\\ {},NULL \\ud800 é😀\\t"}';
      const event = { kind: "other" as const, payload, hidden: payload };
      await store.append([writeOf(taskId, 1, { events: [event], snapshot: { task: payload } })]);
      expect((await store.readEvents(taskId, 1, 1, 1))[0]).toMatchObject(event);
      expect((await store.readView(taskId))?.snapshot).toEqual({ generation: 2, task: payload });
    });

    it.each([
      ["a wrong epoch", { epoch: 1 }, 1],
      ["an epoch from the future", { epoch: 3 }, 1],
      ["a generation that is behind", {}, 0],
      ["a generation that is ahead", {}, 2],
    ])("I2 P5: with %s stores nothing", async (_, write, expected) => {
      const store = await open();
      const { taskId } = await startTask(store);
      expect(await store.append([writeOf(taskId, expected, write)])).toEqual([{ kind: "fenced" }]);
      expect(await store.readTask(taskId)).toMatchObject({ generation: 1 });
      expect(await store.readEvents(taskId, 1, 10, 1e6)).toEqual([]);
    });

    it("P6: a finished task takes no event any more", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      await store.append([writeOf(taskId, 1, { head: headOf("completed") })]);
      expect(await store.append([writeOf(taskId, 2)])).toEqual([{ kind: "fenced" }]);
      expect(await store.readTask(taskId)).toMatchObject({ generation: 2, state: "completed" });
    });

    it("a fenced task drops out of a batch alone, and the outcomes keep their order", async () => {
      const store = await open();
      const tasks = await Promise.all([1, 2, 3, 4, 5].map(() => startTask(store)));
      const writes = tasks.map(({ taskId }, i) => writeOf(taskId, 1, i === 2 ? { epoch: 9 } : {}));
      const outcomes = await store.append([...writes, writeOf("unknown", 1)]);
      expect(outcomes.map(({ kind }) => kind)).toEqual([
        "committed",
        "committed",
        "fenced",
        "committed",
        "committed",
        "fenced",
      ]);
      const positions = await store.readPositions(tasks.map(({ taskId }) => taskId));
      expect(positions.map(({ generation }) => generation).sort((a, b) => a - b)).toEqual([1, 2, 2, 2, 2]);
    });

    it("refuses two writes of one task in one statement", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      const twice = store.append([writeOf(taskId, 1), writeOf(taskId, 2)]);
      await expect(twice).rejects.toMatchObject({ kind: "rejected" });
      await expect(twice).rejects.toBeInstanceOf(StoreError);
    });

    it("I8: one payload the store cannot hold keeps the whole statement out", async () => {
      const store = await open();
      const [good, bad] = await Promise.all([startTask(store), startTask(store)]);
      const poison = writeOf(bad.taskId, 1, { events: [statusEvent("a\u0000b")] });
      await expect(store.append([writeOf(good.taskId, 1), poison])).rejects.toMatchObject({ kind: "rejected" });
      expect(await store.readTask(good.taskId)).toMatchObject({ generation: 1 });
      expect(await store.readTask(bad.taskId)).toMatchObject({ generation: 1 });
    });

    it("ends a turn with its last event: generations, reply and no headers any more", async () => {
      const store = await open();
      const { taskId, turnId } = await startTask(store);
      await store.append([writeOf(taskId, 1)]);
      await store.append([endingWrite(taskId, 2, turnId)]);
      expect(await store.readTurn(turnId)).toMatchObject({
        state: "done",
        headers: null,
        firstGeneration: 1,
        lastGeneration: 3,
      });
    });

    it("ends a turn without an event", async () => {
      const store = await open();
      const { taskId, turnId } = await startTask(store);
      const end = { turnId, state: "done" as const, reply: null };
      expect(await store.append([writeOf(taskId, 1, { events: [], end })])).toEqual([COMMITTED]);
      expect(await store.readTurn(turnId)).toMatchObject({ state: "done", firstGeneration: 1, lastGeneration: 1 });
      expect(await store.readTask(taskId)).toMatchObject({ generation: 1 });
    });

    it("keeps the last snapshot when a write brings none", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      await store.append([writeOf(taskId, 1, { snapshot: { task: "S" } })]);
      await store.append([writeOf(taskId, 2)]);
      const view = await store.readView(taskId);
      expect(view?.snapshot).toEqual({ generation: 2, task: "S" });
      expect(view?.tail.map(({ generation }) => generation)).toEqual([3]);
    });

    it("after a lost reply tells what is in the record from what is not", async () => {
      const store = await open();
      const [done, unsent, deposed, ended, open1] = await Promise.all([1, 2, 3, 4, 5].map(() => startTask(store)));
      if (!done || !unsent || !deposed || !ended || !open1) throw new Error("five tasks");
      const two = { events: [statusEvent(), statusEvent()] };
      await store.append([writeOf(done.taskId, 1, two)]);
      await store.append([writeOf(done.taskId, 3)]);
      await store.requestCancel(deposed.taskId, null);
      await store.deposeAndCancel({ ...writeOf(deposed.taskId, 1, { head: headOf("canceled") }), self: "z" });
      const endOf = (turnId: string) => ({ events: [], end: { turnId, state: "done" as const, reply: null } });
      await store.append([writeOf(ended.taskId, 1, endOf(ended.turnId))]);
      expect(
        await store.settle([
          writeOf(done.taskId, 1, two),
          writeOf(unsent.taskId, 1, two),
          writeOf(deposed.taskId, 1),
          writeOf(ended.taskId, 1, endOf(ended.turnId)),
          writeOf(open1.taskId, 1, endOf(open1.turnId)),
          writeOf("unknown", 1),
        ]),
      ).toEqual(["committed", "unsent", "fenced", "committed", "unsent", "fenced"]);
    });
  });
}
