import { describe, expect, it } from "vitest";
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
      expect(outcome).toEqual({ kind: "committed", promoted: first.id, failed: [] });
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
      let [current, generation, ended] = [turnId, 1, 0];
      const arriving = Array.from({ length: 12 }, () => journaled(store, { taskId }));
      while (ended < 13) {
        const [outcome] = await store.append([endingWrite(taskId, generation, current)]);
        if (outcome?.kind !== "committed") throw new Error("fenced");
        ended += 1;
        generation += 1;
        if (ended === 13) break;
        const { turnIds } = await store.findWork("a");
        const next = outcome.promoted ?? turnIds[0] ?? (await nextDispatched());
        await store.takeTurn(next, "a");
        current = next;
      }
      const turns = await Promise.all(arriving);
      expect(new Set(turns.map(({ id }) => id)).size).toBe(12);
      for (const { id } of turns) expect(await store.readTurn(id)).toMatchObject({ state: "done" });

      /** The queue was empty when the last turn ended: one of those still arriving is dispatched at once. */
      async function nextDispatched(): Promise<string> {
        const ids = new Set(arriving);
        for (;;) {
          const turn = await Promise.race([...ids].map((p) => p.then((row) => ({ p, row }))));
          const row = await store.readTurn(turn.row.id);
          if (row?.state === "dispatched") return row.id;
          ids.delete(turn.p);
        }
      }
    });
  });
}
