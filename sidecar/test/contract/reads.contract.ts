import { describe, expect, it } from "vitest";
import { type ListQuery, NO_STATUS_TIMESTAMP, type TaskStore } from "../../src/ports/task-store.ts";
import type { OpenStore } from "./task-store.contract.ts";
import { headOf, startTask, statusEvent, taskNamed, writeOf } from "./task-store-rows.ts";

const QUERY: ListQuery = {
  tenant: "",
  caller: "",
  contextId: null,
  state: null,
  statusTimestampAfter: null,
  pageSize: 50,
  after: null,
};

export function describeReads(open: OpenStore): void {
  describe("reads", () => {
    it("P3: a view is the task, its snapshot and exactly the events after it", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      expect(await store.readView(taskId)).toMatchObject({ snapshot: null, tail: [{ generation: 1 }] });
      await store.append([
        writeOf(taskId, 1, { events: [statusEvent("2"), statusEvent("3")], snapshot: { task: "S" } }),
      ]);
      await store.append([writeOf(taskId, 3, { events: [statusEvent("4"), statusEvent("5")] })]);
      const view = await store.readView(taskId);
      expect(view?.task).toEqual(await store.readTask(taskId));
      expect(view?.snapshot).toEqual({ generation: 3, task: "S" });
      expect(view?.tail.map(({ generation, payload }) => [generation, payload])).toEqual([
        [4, "4"],
        [5, "5"],
      ]);
      expect(await store.readView("unknown")).toBeNull();
    });

    it("I3: a view read while events arrive never has a gap between snapshot, tail and head", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      const writing = (async () => {
        for (let g = 1; g < 40; g += 1) {
          await store.append([writeOf(taskId, g, g % 7 === 0 ? { snapshot: { task: `${g + 1}` } } : {})]);
        }
      })();
      for (let round = 0; round < 30; round += 1) {
        const view = await store.readView(taskId);
        const from = view?.snapshot?.generation ?? 0;
        const generations = view?.tail.map(({ generation }) => generation);
        expect(generations).toEqual(
          Array.from({ length: (view?.task.generation ?? 0) - from }, (_, i) => from + i + 1),
        );
      }
      await writing;
    });

    it("reads events by rows and by bytes, at least one", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      const events = ["22", "333", "4444", "55555"].map((text) => statusEvent(text));
      await store.append([writeOf(taskId, 1, { events })]);
      const read = async (after: number, limit: number, bytes: number) =>
        (await store.readEvents(taskId, after, limit, bytes)).map(({ generation }) => generation);
      expect(await read(1, 2, 1000)).toEqual([2, 3]);
      expect(await read(1, 10, 5)).toEqual([2, 3]);
      expect(await read(1, 10, 6)).toEqual([2, 3]);
      expect(await read(4, 10, 1)).toEqual([5]);
      expect(await read(5, 10, 1000)).toEqual([]);
      expect(await store.readEvents("unknown", 0, 10, 10)).toEqual([]);
    });

    it("reads the positions of many tasks at once", async () => {
      const store = await open();
      const [one, two] = [await startTask(store), await startTask(store)];
      await store.append([writeOf(two.taskId, 1, { head: headOf("completed") })]);
      const positions = await store.readPositions([one.taskId, two.taskId, "unknown"]);
      expect(positions.sort((a, b) => a.generation - b.generation)).toEqual([
        { taskId: one.taskId, generation: 1, state: "working" },
        { taskId: two.taskId, generation: 2, state: "completed" },
      ]);
      expect(await store.readPositions([])).toEqual([]);
    });

    it("counts tasks by state", async () => {
      const store = await open();
      await startTask(store);
      await startTask(store);
      await startTask(store, { head: headOf("completed") });
      const counts = await store.countTasks();
      expect(counts.sort((a, b) => a.count - b.count)).toEqual([
        { state: "completed", count: 1 },
        { state: "working", count: 2 },
      ]);
    });

    it("I10: nothing of one agent is visible to another", async () => {
      const [store, other] = [await open(), await open()];
      const { taskId, turnId } = await startTask(store);
      expect(await other.readTask(taskId)).toBeNull();
      expect(await other.readTurn(turnId)).toBeNull();
      expect(await other.readView(taskId)).toBeNull();
      expect(await other.append([writeOf(taskId, 1)])).toEqual([{ kind: "fenced" }]);
      expect((await other.listTasks(QUERY)).totalSize).toBe(0);
    });

    async function fill(store: TaskStore) {
      const rows: [string, string | null, Parameters<typeof headOf>[0], string][] = [
        ["b", "2026-01-02T00:00:00.000Z", "working", "c1"],
        ["a", "2026-01-02T00:00:00.000Z", "completed", "c1"],
        ["d", "2026-01-03T00:00:00.000Z", "working", "c2"],
        ["c", null, "working", "c1"],
        ["e", "2026-01-01T00:00:00.000Z", "completed", "c2"],
      ];
      for (const [taskId, timestamp, state, contextId] of rows) {
        await startTask(store, { task: taskNamed(taskId, contextId), head: headOf(state, timestamp, contextId) });
      }
      await startTask(store, { turn: { caller: "x" }, task: taskNamed("foreign") });
      await startTask(store, { turn: { tenant: "x" }, task: taskNamed("elsewhere") });
    }

    it.each<[string, Partial<ListQuery>, string[]]>([
      ["newest status first, then id, those without a timestamp last", {}, ["d", "a", "b", "e", "c"]],
      ["of one context", { contextId: "c1" }, ["a", "b", "c"]],
      ["of one state", { state: "completed" }, ["a", "e"]],
      ["from an instant on", { statusTimestampAfter: "2026-01-02T00:00:00.000Z" }, ["d", "a", "b"]],
      ["of one caller (P9)", { caller: "x" }, ["foreign"]],
      ["of one tenant (P9)", { tenant: "x" }, ["elsewhere"]],
      ["of nobody", { caller: "nobody" }, []],
    ])("lists tasks %s", async (_, query, expected) => {
      const store = await open();
      await fill(store);
      const page = await store.listTasks({ ...QUERY, ...query });
      expect(page.views.map(({ task }) => task.taskId)).toEqual(expected);
      expect(page).toMatchObject({ totalSize: expected.length, more: false });
    });

    it("pages through a list without a gap or a repeat, and counts all of it each time", async () => {
      const store = await open();
      await fill(store);
      const seen: string[] = [];
      let after: ListQuery["after"] = null;
      for (;;) {
        const page = await store.listTasks({ ...QUERY, pageSize: 2, after });
        expect(page.totalSize).toBe(5);
        seen.push(...page.views.map(({ task }) => task.taskId));
        const last = page.views.at(-1)?.task;
        if (!page.more || last === undefined) break;
        after = { statusTimestamp: last.statusTimestamp ?? NO_STATUS_TIMESTAMP, taskId: last.taskId };
      }
      expect(seen).toEqual(["d", "a", "b", "e", "c"]);
      const beyond = { statusTimestamp: NO_STATUS_TIMESTAMP, taskId: "zz" };
      expect(await store.listTasks({ ...QUERY, after: beyond })).toEqual({ views: [], totalSize: 5, more: false });
    });

    it("a list carries snapshot and tail of each task", async () => {
      const store = await open();
      await fill(store);
      await store.append([
        writeOf("d", 1, { head: headOf("working", "2026-01-03T00:00:00.000Z", "c2"), snapshot: { task: "S" } }),
      ]);
      await store.append([writeOf("d", 2, { head: headOf("working", "2026-01-03T00:00:00.000Z", "c2") })]);
      const { views } = await store.listTasks({ ...QUERY, pageSize: 2 });
      expect(views[0]).toEqual(await store.readView("d"));
      expect(views[1]).toEqual(await store.readView("a"));
      expect(views[0]).toMatchObject({ snapshot: { generation: 2 }, tail: [{ generation: 3 }] });
    });
  });
}
