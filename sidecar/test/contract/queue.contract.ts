import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { waitFor } from "../support/wait.ts";
import type { OpenStore } from "./task-store.contract.ts";
import { endingWrite, journaled, LEASE_MS, newTurn, startTask, writeOf } from "./task-store-rows.ts";

export function describeQueue(open: OpenStore): void {
  describe("the queue of a task", () => {
    async function openWithTask() {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      return { store, ...(await startTask(store)) };
    }

    it("holds back a follow-up while a turn is in flight, and promotes in order of arrival", async () => {
      const { store, taskId, turnId } = await openWithTask();
      const first = await journaled(store, { taskId });
      const second = await journaled(store, { taskId });
      expect([first.state, second.state]).toEqual(["queued", "queued"]);
      expect(await store.takeTurn(first.id, "a")).toBeNull();
      expect((await store.findWork("a")).turnIds).toEqual([]);
      const [outcome] = await store.append([endingWrite(taskId, 1, turnId)]);
      expect(outcome).toEqual({ kind: "committed", promoted: first.id, failed: [], closed: [] });
      expect((await store.findWork("a")).turnIds).toEqual([first.id]);
      expect(await store.readTurn(second.id)).toMatchObject({ state: "queued" });
      expect(await store.takeTurn(first.id, "a")).toMatchObject({ state: "dispatched", epoch: 2 });
      const bound = writeOf(taskId, 2, { firstOf: first.id });
      await store.append([bound]);
      expect(await store.readTurn(first.id)).toMatchObject({ state: "bound", firstGeneration: 3 });
      expect(await store.append([endingWrite(taskId, 3, first.id)])).toMatchObject([{ promoted: second.id }]);
      expect(await store.readTurn(first.id)).toMatchObject({ state: "done", firstGeneration: 3, lastGeneration: 4 });
    });

    it("first and last event of a turn may come in one write", async () => {
      const { store, taskId, turnId } = await openWithTask();
      await store.append([endingWrite(taskId, 1, turnId)]);
      const turn = await journaled(store, { taskId });
      await store.append([{ ...endingWrite(taskId, 2, turn.id), firstOf: turn.id }]);
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "done", firstGeneration: 3, lastGeneration: 3 });
    });

    it("P6: fails what waits when the task becomes terminal", async () => {
      const { store, taskId, turnId } = await openWithTask();
      const waiting = [await journaled(store, { taskId }), await journaled(store, { taskId })];
      const [outcome] = await store.append([endingWrite(taskId, 1, turnId, "failed")]);
      expect(outcome).toMatchObject({ kind: "committed", promoted: null });
      expect(outcome?.kind === "committed" && [...outcome.failed].sort()).toEqual(waiting.map(({ id }) => id).sort());
      for (const { id } of waiting) {
        expect(await store.readTurn(id)).toMatchObject({ state: "failed", reply: null, headers: null });
      }
    });

    it("P6: ends a turn that gave up the queue, and that nobody came back to, with its task", async () => {
      const { store, taskId, turnId } = await openWithTask();
      await store.releaseQueue(turnId, 2);
      const next = await journaled(store, { taskId });
      const [outcome] = await store.append([{ ...endingWrite(taskId, 1, next.id, "completed"), firstOf: next.id }]);
      expect(outcome).toEqual({ kind: "committed", promoted: null, failed: [], closed: [] });
      const over = { state: "done", reply: null, headers: null, firstGeneration: 1, lastGeneration: 2 };
      expect(await store.readTurn(turnId)).toMatchObject(over);
    });

    it("P4: ends the turn at the agent with its task, also where the terminal write is not its own", async () => {
      const { store, taskId, turnId } = await openWithTask();
      const cancel = { ...endingWrite(taskId, 1, turnId, "canceled"), end: null };
      expect(await store.append([cancel])).toEqual([
        { kind: "committed", promoted: null, failed: [], closed: [turnId] },
      ]);
      const over = { state: "done", reply: null, headers: null, firstGeneration: 1, lastGeneration: 2 };
      expect(await store.readTurn(turnId)).toMatchObject(over);
    });

    it("P4: fails a follow-up on its way to the agent whose task ends meanwhile; its retry joins it", async () => {
      const { store, taskId, turnId } = await openWithTask();
      await store.append([endingWrite(taskId, 1, turnId)]);
      const turn = await journaled(store, { taskId });
      expect(turn.state).toBe("dispatched");
      const cancel = { ...endingWrite(taskId, 2, turnId, "canceled"), end: null };
      expect(await store.append([cancel])).toEqual([
        { kind: "committed", promoted: null, failed: [turn.id], closed: [] },
      ]);
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "failed", reply: null, headers: null });
    });

    it("a message aside keeps the reply that its agent still has to give when the task ends", async () => {
      const { store, taskId, turnId } = await openWithTask();
      const aside = await journaled(store, { taskId, aside: true });
      await store.append([endingWrite(taskId, 1, turnId, "completed")]);
      const end = { turnId: aside.id, state: "done" as const, reply: null, epoch: 2, instance: "a" };
      expect(await store.endTurn(end)).toMatchObject({ kind: "ended" });
    });

    it("promotes when a turn ends without an event, and when it stops holding the queue", async () => {
      const { store, taskId, turnId } = await openWithTask();
      const [first, second, third] = [
        await journaled(store, { taskId }),
        await journaled(store, { taskId }),
        await journaled(store, { taskId }),
      ];
      expect(await store.releaseQueue(turnId, 1)).toEqual({ promoted: null });
      expect(await store.releaseQueue(turnId, 2)).toEqual({ promoted: first.id });
      expect(await store.readTurn(turnId)).toMatchObject({ state: "bound" });
      expect(await store.releaseQueue(turnId, 2)).toEqual({ promoted: null });
      const end = { turnId: first.id, state: "done" as const, reply: null, epoch: 2, instance: "a" };
      expect(await store.endTurn(end)).toEqual({ kind: "ended", promoted: second.id });
      expect(await store.append([endingWrite(taskId, 1, turnId)])).toMatchObject([{ promoted: null }]);
      expect(await store.readTurn(third.id)).toMatchObject({ state: "queued" });
    });

    it("a turn aside neither waits nor holds the queue", async () => {
      const { store, taskId, turnId } = await openWithTask();
      const aside = await journaled(store, { taskId, aside: true });
      expect(aside).toMatchObject({ state: "dispatched", aside: true });
      const queued = await journaled(store, { taskId });
      const end = { turnId: aside.id, state: "done" as const, reply: null, epoch: 2, instance: "a" };
      expect(await store.endTurn(end)).toEqual({ kind: "ended", promoted: null });
      expect(await store.append([endingWrite(taskId, 1, turnId)])).toMatchObject([{ promoted: queued.id }]);
    });

    it("P7: a retried follow-up joins the queued one", async () => {
      const { store, taskId } = await openWithTask();
      const turn = await journaled(store, { taskId, dedupeKey: "k" });
      const again = await store.journal(newTurn({ taskId, dedupeKey: "k" }));
      expect(again).toMatchObject({ kind: "joined", turn: { id: turn.id, state: "queued" } });
    });

    it("no follow-up is left behind, however queueing and ending meet", async () => {
      const { store, taskId, turnId } = await openWithTask();
      const ids = Array.from({ length: 12 }, () => randomUUID());
      const arriving = Promise.all(ids.map((id) => journaled(store, { id, taskId })));
      let current = turnId;
      for (let generation = 1; generation <= ids.length; generation += 1) {
        const [outcome] = await store.append([endingWrite(taskId, generation, current)]);
        if (outcome?.kind !== "committed") throw new Error("fenced");
        current =
          outcome.promoted ?? (await waitFor(nextTurn, { message: "no turn is next, though some have not run" }));
        await store.takeTurn(current, "a");
      }
      await store.append([endingWrite(taskId, ids.length + 1, current)]);
      await arriving;
      expect((await store.readTurns(ids)).map(({ state }) => state)).toEqual(ids.map(() => "done"));

      /** None waited when the last turn ended, so the next that arrives is dispatched at once. */
      async function nextTurn(): Promise<string | undefined> {
        const turns = await store.readTurns(ids);
        return turns.find(({ state }) => state === "dispatched" || state === "journaled")?.id;
      }
    });
  });
}
