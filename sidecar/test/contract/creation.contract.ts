import { describe, expect, it } from "vitest";
import type { OpenStore } from "./task-store.contract.ts";
import { creationOf, headOf, journaled, newTurn, startTask, taskNamed } from "./task-store-rows.ts";

export function describeCreation(open: OpenStore): void {
  describe("the birth of a task", () => {
    it("I1 I2: binds the turn, starts at generation 1 with the turn's epoch + 1", async () => {
      const store = await open();
      const turn = await journaled(store, { caller: "me", tenant: "t" });
      const task = { ...taskNamed("task-1", "c"), agentTaskId: "agent-1", agentContextId: "agent-c" };
      const events = [
        { kind: "task" as const, payload: '{"task":{"id":"task-1"}}', hidden: "[{}]" },
        { kind: "artifact" as const, payload: '{"artifactUpdate":{}}', hidden: null },
      ];
      const head = headOf("working", "2026-01-02T03:04:05.678Z", "c");
      const outcome = await store.createTask(creationOf(turn, { task, events, head }));
      expect(outcome).toEqual({ kind: "created", epoch: 2, promoted: null });
      expect(await store.readTask("task-1")).toEqual({
        ...task,
        tenant: "t",
        caller: "me",
        state: "working",
        statusTimestamp: "2026-01-02T03:04:05.678Z",
        generation: 2,
        owner: "a",
        ownerAlive: false,
        epoch: 2,
        attempt: 1,
        cancel: null,
      });
      expect(await store.readEvents("task-1", 0, 10, 1e6)).toEqual([
        { ...events[0], generation: 1, epoch: 2, attempt: 1 },
        { ...events[1], generation: 2, epoch: 2, attempt: 1 },
      ]);
      expect(await store.readTurn(turn.id)).toMatchObject({
        state: "bound",
        taskId: "task-1",
        contextId: "c",
        epoch: 2,
        firstGeneration: 1,
        lastGeneration: null,
      });
    });

    it("ends the turn in the same write when the first event is also the last", async () => {
      const store = await open();
      const turn = await journaled(store);
      const end = { turnId: turn.id, state: "done" as const, reply: null };
      const creation = creationOf(turn, { head: headOf("completed"), end, snapshot: { task: "{}" } });
      expect(await store.createTask(creation)).toMatchObject({ kind: "created" });
      const ended = { state: "done", headers: null, firstGeneration: 1, lastGeneration: 1 };
      expect(await store.readTurn(turn.id)).toMatchObject(ended);
      const view = await store.readView(creation.task.taskId);
      expect(view).toMatchObject({ snapshot: { generation: 1, task: "{}" }, tail: [] });
    });

    it("I2: a deposed turn stores nothing", async () => {
      const store = await open();
      const turn = await journaled(store, { instance: "b" });
      await store.reassignTurn(turn.id, "b", "a");
      const taken = await store.takeTurn(turn.id, "a");
      expect(await store.createTask(creationOf(turn, { task: taskNamed("t") }))).toEqual({ kind: "deposed" });
      expect(await store.readTask("t")).toBeNull();
      expect(await store.readEvents("t", 0, 10, 1e6)).toEqual([]);
      expect(taken?.epoch).toBe(2);
      expect(await store.createTask(creationOf({ id: turn.id, epoch: 2 }))).toMatchObject({
        kind: "created",
        epoch: 3,
      });
    });

    it("I2: a turn that was never dispatched stores nothing", async () => {
      const store = await open();
      const turn = await journaled(store, { instance: "b" });
      expect(await store.createTask(creationOf(turn))).toEqual({ kind: "deposed" });
    });

    it("an id that is taken leaves the turn as it was, to be tried again under another id", async () => {
      const store = await open();
      await startTask(store, { task: taskNamed("task-1") });
      const turn = await journaled(store, { tenant: "other" });
      const creation = creationOf(turn, { task: taskNamed("task-1") });
      expect(await store.createTask(creation)).toEqual({ kind: "id-taken" });
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "dispatched", taskId: null });
      expect((await store.readTask("task-1"))?.generation).toBe(1);
      const mapped = { ...taskNamed("task-2"), agentTaskId: "task-1" };
      expect(await store.createTask({ ...creation, task: mapped })).toMatchObject({ kind: "created" });
      expect(await store.readTask("task-2")).toMatchObject({ agentTaskId: "task-1" });
    });

    it("two turns that bring the same id at once: one creates, the other is told", async () => {
      const store = await open();
      const turns = await Promise.all([1, 2, 3, 4].map(() => journaled(store)));
      const outcomes = await Promise.all(
        turns.map((turn) => store.createTask(creationOf(turn, { task: taskNamed("same") }))),
      );
      const kinds = outcomes.map((outcome) => outcome.kind).sort();
      expect(kinds).toEqual(["created", "id-taken", "id-taken", "id-taken"]);
      expect(await store.readEvents("same", 0, 10, 1e6)).toHaveLength(1);
    });

    it("a creation that is repeated after a lost reply is the same one", async () => {
      const store = await open();
      const creation = creationOf(await journaled(store));
      expect(await store.createTask(creation)).toEqual({ kind: "created", epoch: 2, promoted: null });
      expect(await store.createTask(creation)).toEqual({ kind: "created", epoch: 2, promoted: null });
      expect(await store.readEvents(creation.task.taskId, 0, 10, 1e6)).toHaveLength(1);
    });

    it("puts back a turn that a crash of the store lost", async () => {
      const store = await open();
      const turn = newTurn({ dedupeKey: "k", body: "lost" });
      const creation = creationOf({ id: turn.id, epoch: 1 });
      expect(await store.createTask(creation)).toEqual({ kind: "deposed" });
      expect(await store.createTask({ ...creation, turn })).toMatchObject({ kind: "created", epoch: 2 });
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "bound", body: "lost", firstGeneration: 1 });
      expect((await store.journal(newTurn({ dedupeKey: "k" }))).kind).toBe("joined");
    });
  });
}
