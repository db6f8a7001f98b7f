import { describe, expect, it } from "vitest";
import type { OpenStore } from "./task-store.contract.ts";
import { creationOf, endingWrite, journaled, LEASE_MS, newTurn, startTask, writeOf } from "./task-store-rows.ts";

export function describeTurns(open: OpenStore): void {
  describe("turns", () => {
    it("P4: stores a turn its inserter runs as dispatched, with every byte it was given", async () => {
      const store = await open();
      const turn = newTurn({ body: '{"n":12345678901234567890,"s":"\\u0000\\ud83d\\ude00"}', contextId: "c" });
      const outcome = await store.journal(turn);
      const { self: _, dedupeKey: __, ...given } = turn;
      const row = {
        ...given,
        state: "dispatched",
        epoch: 1,
        attempt: 1,
        handovers: 0,
        instanceAlive: false,
        reply: null,
        firstGeneration: null,
        lastGeneration: null,
      };
      expect(outcome).toEqual({ kind: "inserted", turn: row });
      expect(await store.readTurn(turn.id)).toEqual(row);
      expect(await store.readTurns([turn.id, "nobody"])).toEqual([row]);
      expect(await store.readTurn("nobody")).toBeNull();
    });

    it("stores a turn for another instance as journaled, where that instance finds it", async () => {
      const store = await open();
      await store.registerInstance({ id: "b", podName: "pod-b", podUid: "uid-b" }, LEASE_MS);
      const turn = await journaled(store, { instance: "b", self: "a" });
      expect(turn).toMatchObject({ state: "journaled", instance: "b", instanceAlive: true });
      expect(await store.findWork("b")).toEqual({ turnIds: [turn.id], cancelTaskIds: [] });
      expect(await store.findWork("a")).toEqual({ turnIds: [], cancelTaskIds: [] });
    });

    it("I5: gives a journaled turn to one taker only", async () => {
      const store = await open();
      const turn = await journaled(store, { instance: "b" });
      expect(await store.takeTurn(turn.id, "a")).toBeNull();
      expect(await store.takeTurn(turn.id, "b")).toMatchObject({ id: turn.id, state: "dispatched", epoch: 1 });
      expect(await store.takeTurn(turn.id, "b")).toBeNull();
      expect(await store.findWork("b")).toEqual({ turnIds: [], cancelTaskIds: [] });
    });

    it("I5: reassigns a turn only while nobody has taken it", async () => {
      const store = await open();
      const turn = await journaled(store, { instance: "b" });
      expect(await store.reassignTurn(turn.id, "c", "a")).toBe(false);
      expect(await store.reassignTurn(turn.id, "b", "a")).toBe(true);
      expect(await store.takeTurn(turn.id, "b")).toBeNull();
      expect(await store.takeTurn(turn.id, "a")).toMatchObject({ instance: "a", epoch: 2 });
      expect(await store.reassignTurn(turn.id, "a", "b")).toBe(false);
    });

    it("P7: a retried send joins the first one, in flight and done", async () => {
      const store = await open();
      const first = await journaled(store, { dedupeKey: "k" });
      expect(await store.journal(newTurn({ dedupeKey: "k" }))).toMatchObject({
        kind: "joined",
        turn: { id: first.id },
      });
      const reply = { kind: "message" as const, payload: '{"message":{}}', headers: { "x-a": "1" } };
      await store.endTurn({ turnId: first.id, state: "done", reply, epoch: 1, instance: "a" });
      expect(await store.journal(newTurn({ dedupeKey: "k" }))).toMatchObject({
        kind: "joined",
        turn: { id: first.id, state: "done", reply, headers: null },
      });
    });

    it("P4 P7: is put back where a crash of the store took it, so that its retry joins it", async () => {
      const store = await open();
      const there = newTurn({ dedupeKey: "there" });
      await store.journal(there);
      const lost = newTurn({ dedupeKey: "lost", body: "lost" });
      const replaced = newTurn({ dedupeKey: "there" });
      expect(await store.restoreTurns([there, lost, replaced])).toEqual([lost.id]);
      expect(await store.restoreTurns([there, lost, replaced])).toEqual([]);
      expect(await store.readTurn(lost.id)).toMatchObject({ state: "dispatched", instance: "a", epoch: 1, attempt: 1 });
      expect(await store.journal(newTurn({ dedupeKey: "lost" }))).toMatchObject({
        kind: "joined",
        turn: { id: lost.id, body: "lost" },
      });
      expect(await store.readTurn(replaced.id)).toBeNull();
    });

    it("P7 P9: another caller's or tenant's send of the same key is its own", async () => {
      const store = await open();
      await journaled(store, { dedupeKey: "k" });
      expect((await store.journal(newTurn({ dedupeKey: "k", caller: "x" }))).kind).toBe("inserted");
      expect((await store.journal(newTurn({ dedupeKey: "k", tenant: "x" }))).kind).toBe("inserted");
    });

    it("P7: after the window the same send is a new one", async () => {
      const store = await open({ idempotencyWindowSeconds: -1 });
      const first = await journaled(store, { dedupeKey: "k" });
      await store.endTurn({ turnId: first.id, state: "done", reply: null, epoch: 1, instance: "a" });
      const again = newTurn({ dedupeKey: "k" });
      expect(await store.journal(again)).toMatchObject({ kind: "inserted", turn: { id: again.id } });
    });

    it("a journal that is repeated with its id after a lost reply finds its own insert", async () => {
      const store = await open();
      const turn = newTurn({ dedupeKey: "k" });
      await store.journal(turn);
      expect(await store.journal(turn)).toMatchObject({ kind: "inserted", turn: { id: turn.id } });
    });

    it("an error reply ends the turn and gives up its dedupe key", async () => {
      const store = await open();
      const turn = await journaled(store, { dedupeKey: "k" });
      const reply = { kind: "error" as const, status: 401, headers: { "www-authenticate": "Bearer" }, body: "no" };
      const end = { turnId: turn.id, state: "failed" as const, reply, epoch: 1, instance: "a" };
      expect(await store.endTurn(end)).toEqual({ kind: "ended", promoted: null });
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "failed", reply, headers: null });
      expect((await store.journal(newTurn({ dedupeKey: "k" }))).kind).toBe("inserted");
    });

    it("I2: a deposed instance cannot end a turn", async () => {
      const store = await open();
      const turn = await journaled(store, { instance: "b" });
      await store.reassignTurn(turn.id, "b", "a");
      await store.takeTurn(turn.id, "a");
      const end = { turnId: turn.id, state: "done" as const, reply: null };
      expect(await store.endTurn({ ...end, epoch: 1, instance: "a" })).toEqual({ kind: "deposed" });
      expect(await store.endTurn({ ...end, epoch: 2, instance: "b" })).toEqual({ kind: "deposed" });
      expect(await store.endTurn({ ...end, epoch: 2, instance: "a" })).toEqual({ kind: "ended", promoted: null });
    });

    it("an end that is repeated after a lost reply is the same one, another end is not", async () => {
      const store = await open();
      const turn = await journaled(store);
      const reply = { kind: "message" as const, payload: "{}", headers: {} };
      const end = { turnId: turn.id, state: "done" as const, reply, epoch: 1, instance: "a" };
      expect(await store.endTurn(end)).toEqual({ kind: "ended", promoted: null });
      expect(await store.endTurn(end)).toEqual({ kind: "ended", promoted: null });
      expect(await store.endTurn({ ...end, reply: null })).toEqual({ kind: "deposed" });
      expect(await store.endTurn({ ...end, state: "failed" })).toEqual({ kind: "deposed" });
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "done", reply });
    });

    it("puts back a turn that a crash of the store lost, before it ends", async () => {
      const store = await open();
      const turn = newTurn();
      const end = { turnId: turn.id, state: "done" as const, reply: null, epoch: 1, instance: "a" };
      expect(await store.endTurn(end)).toEqual({ kind: "deposed" });
      expect(await store.endTurn({ ...end, turn })).toEqual({ kind: "ended", promoted: null });
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "done", body: turn.body });
    });

    it("finds the living instance that last ran a turn of a context", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      await store.registerInstance({ id: "b", podName: "", podUid: "" }, LEASE_MS);
      await startTask(store, { turn: { instance: "a" } });
      expect(await store.lastInstance("", "", "context")).toBe("a");
      const turn = await journaled(store, { instance: "b", self: "b", contextId: "context" });
      await store.createTask(creationOf(turn));
      expect(await store.lastInstance("", "", "context")).toBe("b");
      await store.renewInstance("b", LEASE_MS, true);
      expect(await store.lastInstance("", "", "context")).toBe("a");
      expect(await store.lastInstance("somebody", "", "context")).toBeNull();
      await store.removeInstance("a");
      expect(await store.lastInstance("", "", "context")).toBeNull();
    });

    it("a turn with a task follows the task's owner and epoch", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      const task = await startTask(store);
      await store.append([endingWrite(task.taskId, 1, task.turnId)]);
      const turn = await journaled(store, { taskId: task.taskId, instance: "b", self: "b" });
      expect(turn).toMatchObject({ instance: "a", epoch: 2, state: "journaled", contextId: "context" });
      expect(await store.readTurn(turn.id)).toEqual(turn);
      expect((await store.findWork("a")).turnIds).toEqual([turn.id]);
      expect(await store.reassignTurn(turn.id, "a", "b")).toBe(false);
      expect(await store.takeTurn(turn.id, "b")).toBeNull();
      expect(await store.takeTurn(turn.id, "a")).toMatchObject({ state: "dispatched", instance: "a", epoch: 2 });
    });

    it("a follow-up of the owner itself is dispatched at once", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      const task = await startTask(store);
      await store.append([endingWrite(task.taskId, 1, task.turnId)]);
      expect(await journaled(store, { taskId: task.taskId })).toMatchObject({ state: "dispatched", instance: "a" });
    });

    it("a follow-up to a task whose owner is gone stays journaled, and nobody takes it as it is", async () => {
      const store = await open();
      await store.registerInstance({ id: "b", podName: "", podUid: "" }, LEASE_MS);
      const task = await startTask(store);
      await store.append([endingWrite(task.taskId, 1, task.turnId)]);
      const turn = await journaled(store, { taskId: task.taskId, instance: "b", self: "b" });
      expect(turn).toMatchObject({ state: "journaled", instance: "a", instanceAlive: false });
      expect(await store.takeTurn(turn.id, "b")).toBeNull();
    });

    it("P9: a follow-up finds no task of another caller or tenant, and no unknown one", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      expect(await store.journal(newTurn({ taskId, caller: "x" }))).toEqual({ kind: "no-task" });
      expect(await store.journal(newTurn({ taskId, tenant: "x" }))).toEqual({ kind: "no-task" });
      expect(await store.journal(newTurn({ taskId: "nothing" }))).toEqual({ kind: "no-task" });
    });

    it("P6: a follow-up to a finished task is refused, but a retry of one that was accepted joins it", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      const task = await startTask(store);
      await store.append([endingWrite(task.taskId, 1, task.turnId)]);
      const turn = await journaled(store, { taskId: task.taskId, dedupeKey: "k" });
      await store.append([endingWrite(task.taskId, 2, turn.id, "completed")]);
      const outcome = await store.journal(newTurn({ taskId: task.taskId }));
      expect(outcome).toEqual({ kind: "terminal", state: "completed" });
      const joined = await store.journal(newTurn({ taskId: task.taskId, dedupeKey: "k" }));
      expect(joined).toMatchObject({ kind: "joined", turn: { id: turn.id, state: "done" } });
    });

    it("a call goes to the agent of a finished task too, beside the queue", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId, "completed")]);
      const call = await journaled(store, { taskId, purpose: "call", aside: true });
      expect(call).toMatchObject({ state: "dispatched", purpose: "call" });
      const reply = { kind: "result" as const, payload: '{"configs":[]}', headers: {} };
      const ended = await store.endTurn({ turnId: call.id, state: "done", reply, epoch: 2, instance: "a" });
      expect(ended).toEqual({ kind: "ended", promoted: null });
      expect(await store.readTurn(call.id)).toMatchObject({ state: "done", reply });
    });

    it("a follow-up that was answered with a bare Message ends without an event", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      const task = await startTask(store);
      await store.append([endingWrite(task.taskId, 1, task.turnId)]);
      const turn = await journaled(store, { taskId: task.taskId });
      const reply = { kind: "message" as const, payload: "{}", headers: {} };
      const end = { turnId: turn.id, state: "done" as const, reply, instance: "a" };
      expect(await store.endTurn({ ...end, epoch: 1 })).toEqual({ kind: "deposed" });
      expect(await store.endTurn({ ...end, epoch: 2 })).toEqual({ kind: "ended", promoted: null });
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "done", reply, lastGeneration: null });
      expect(await store.append([writeOf(task.taskId, 2)])).toMatchObject([{ kind: "committed" }]);
    });
  });
}
