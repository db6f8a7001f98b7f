import { describe, expect, it } from "vitest";
import type { OpenStore, RecordStore } from "./task-store.contract.ts";
import { endingWrite, journaled, LEASE_MS, startTask, writeOf } from "./task-store-rows.ts";

const claim = { self: "b", selfPodUid: "pod-of-b", from: [], predecessors: [], limit: 10 };

export function describeDrain(open: OpenStore): void {
  async function openPair(): Promise<RecordStore> {
    const store = await open();
    await store.registerInstance({ id: "a", podName: "", podUid: "pod-of-a" }, LEASE_MS);
    await store.registerInstance({ id: "b", podName: "", podUid: "pod-of-b" }, LEASE_MS);
    return store;
  }

  describe("work that is given up", () => {
    it("P8: may be claimed at once though its former holder lives, and counts no attempt", async () => {
      const store = await openPair();
      const unbound = await journaled(store);
      const { taskId, turnId } = await startTask(store);
      const queued = await journaled(store, { taskId });
      const released = await store.releaseWork("a");
      expect(released.taskIds).toEqual([taskId]);
      expect(released.turnIds.toSorted()).toEqual([unbound.id, turnId, queued.id].sort());
      expect(await store.readTask(taskId)).toMatchObject({ owner: "", ownerAlive: false, epoch: 3 });
      expect(await store.readTurn(unbound.id)).toMatchObject({
        instance: "",
        epoch: 2,
        state: "dispatched",
        handovers: 1,
      });
      const { tasks, turns } = await store.claimWork(claim);
      const handedOver = { attempt: 2, handovers: 1 };
      expect(turns).toMatchObject([{ before: "dispatched", samePod: false, turn: { ...handedOver, epoch: 3 } }]);
      expect(tasks).toMatchObject([{ task: { owner: "b", epoch: 4, agentTaskId: "" }, turn: { turn: handedOver } }]);
      expect(await store.readTurn(queued.id)).toMatchObject({ state: "queued", attempt: 1, handovers: 0 });
    });

    it("P5: fences what its former holder still sends", async () => {
      const store = await openPair();
      const unbound = await journaled(store);
      const { taskId } = await startTask(store);
      await store.releaseWork("a");
      expect(await store.append([writeOf(taskId, 1)])).toEqual([{ kind: "fenced" }]);
      const end = { turnId: unbound.id, state: "done" as const, reply: null, epoch: 1, instance: "a" };
      expect(await store.endTurn(end)).toEqual({ kind: "deposed" });
    });

    it("a message no agent was given counts no hand-over either", async () => {
      const store = await openPair();
      const unbound = await journaled(store, { instance: "a", self: "b" });
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId)]);
      const followUp = await journaled(store, { taskId, instance: "b", self: "b" });
      expect([unbound.state, followUp.state]).toEqual(["journaled", "journaled"]);
      await store.releaseWork("a");
      const { turns, tasks } = await store.claimWork(claim);
      const fresh = { before: "journaled", turn: { state: "dispatched", attempt: 1, handovers: 0 } };
      expect(turns).toMatchObject([fresh]);
      expect(tasks).toMatchObject([{ turn: fresh }]);
    });

    it("what rests and what others hold stays where it is", async () => {
      const store = await openPair();
      const resting = await startTask(store);
      await store.append([endingWrite(resting.taskId, 1, resting.turnId)]);
      const done = await startTask(store);
      await store.append([endingWrite(done.taskId, 1, done.turnId, "completed")]);
      const others = await startTask(store, { turn: { instance: "b", self: "b" } });
      expect(await store.releaseWork("a")).toEqual({ taskIds: [], turnIds: [] });
      expect(await store.readTask(resting.taskId)).toMatchObject({ owner: "a", epoch: 2 });
      expect(await store.readTask(others.taskId)).toMatchObject({ owner: "b", epoch: 2 });
    });

    it("calls end as failed: no other agent could answer them", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId)]);
      const call = await journaled(store, { taskId, purpose: "call", aside: true });
      expect(await store.releaseWork("a")).toEqual({ taskIds: [], turnIds: [call.id] });
      expect(await store.readTurn(call.id)).toMatchObject({ state: "failed" });
    });

    it("a cancel mark that was taken can be taken by the next owner", async () => {
      const store = await openPair();
      const { taskId } = await startTask(store);
      await store.requestCancel(taskId, null);
      await store.takeCancel(taskId, "a");
      await store.releaseWork("a");
      expect(await store.readTask(taskId)).toMatchObject({ cancel: { taken: false } });
    });

    it("a client that speaks to a task that was given up claims it", async () => {
      const store = await openPair();
      const { taskId } = await startTask(store);
      await store.releaseWork("a");
      expect(await store.claimTask(taskId, claim)).toMatchObject({ task: { owner: "b", epoch: 4 } });
    });
  });

  describe("one turn that is given up", () => {
    it("takes its task with it", async () => {
      const store = await openPair();
      const [one, other] = [await startTask(store), await startTask(store)];
      expect(await store.releaseTurn(one.turnId, { instance: "a", epoch: 2 }, "handed-over")).toBe(true);
      expect(await store.readTask(one.taskId)).toMatchObject({ owner: "", epoch: 3 });
      expect(await store.readTurn(one.turnId)).toMatchObject({ instance: "", state: "bound", handovers: 1 });
      expect(await store.readTask(other.taskId)).toMatchObject({ owner: "a", epoch: 2 });
    });

    it("may have no task", async () => {
      const store = await openPair();
      const [one, other] = [await journaled(store), await journaled(store)];
      expect(await store.releaseTurn(one.id, { instance: "a", epoch: 1 }, "handed-over")).toBe(true);
      expect(await store.readTurn(one.id)).toMatchObject({ instance: "", epoch: 2, handovers: 1 });
      expect(await store.readTurn(other.id)).toMatchObject({ instance: "a", epoch: 1 });
    });

    it("P4: counts no hand-over where its run has failed, with a task and without", async () => {
      const store = await openPair();
      const [{ turnId }, unbound] = [await startTask(store), await journaled(store)];
      expect(await store.releaseTurn(turnId, { instance: "a", epoch: 2 }, "lost")).toBe(true);
      expect(await store.releaseTurn(unbound.id, { instance: "a", epoch: 1 }, "lost")).toBe(true);
      for (const id of [turnId, unbound.id]) {
        expect(await store.readTurn(id)).toMatchObject({ instance: "", attempt: 1, handovers: 0 });
      }
    });

    it("P8: counts nothing where no agent was given it, and is run elsewhere as if for the first time", async () => {
      const store = await openPair();
      const { id } = await journaled(store);
      expect(await store.releaseTurn(id, { instance: "a", epoch: 1 }, "none")).toBe(true);
      expect(await store.readTurn(id)).toMatchObject({ instance: "", state: "journaled", epoch: 2, handovers: 0 });
      const { turns } = await store.claimWork(claim);
      expect(turns).toMatchObject([
        { before: "journaled", turn: { id, instance: "b", state: "dispatched", attempt: 1 } },
      ]);
    });

    it("is not another's, and not over", async () => {
      const store = await openPair();
      const unbound = await journaled(store);
      const { taskId, turnId } = await startTask(store);
      expect(await store.releaseTurn(unbound.id, { instance: "b", epoch: 1 }, "handed-over")).toBe(false);
      expect(await store.releaseTurn(unbound.id, { instance: "a", epoch: 2 }, "handed-over")).toBe(false);
      expect(await store.releaseTurn(turnId, { instance: "b", epoch: 2 }, "handed-over")).toBe(false);
      expect(await store.releaseTurn(turnId, { instance: "a", epoch: 3 }, "handed-over")).toBe(false);
      await store.append([endingWrite(taskId, 1, turnId)]);
      expect(await store.releaseTurn(turnId, { instance: "a", epoch: 2 }, "handed-over")).toBe(false);
      expect(await store.releaseTurn("unknown", { instance: "a", epoch: 2 }, "handed-over")).toBe(false);
      expect(await store.readTask(taskId)).toMatchObject({ owner: "a", epoch: 2 });
      expect(await store.readTurn(unbound.id)).toMatchObject({ instance: "a", epoch: 1 });
    });
  });

  describe("a draining instance", () => {
    it("is given nothing where it enters the record during its drain", async () => {
      const store = await open();
      await store.registerInstance({ id: "late", podName: "", podUid: "pod-of-late", draining: true }, LEASE_MS);
      expect(await store.youngestInstance("a")).toBeNull();
      await store.registerInstance({ id: "late", podName: "", podUid: "pod-of-late" }, LEASE_MS);
      expect(await store.youngestInstance("a")).toBe("late");
    });

    it("is given nothing, until the drain is undone", async () => {
      const store = await openPair();
      expect(await store.youngestInstance("b")).toBe("a");
      await store.setDraining("a", true);
      expect(await store.listInstances()).toMatchObject([{ id: "a", draining: true, alive: false }, { id: "b" }]);
      expect(await store.youngestInstance("b")).toBeNull();
      await store.setDraining("a", false);
      expect(await store.youngestInstance("b")).toBe("a");
      await store.setDraining("nobody", true);
    });

    it("the youngest of the living is preferred", async () => {
      const store = await openPair();
      await store.removeInstance("b");
      await store.registerInstance({ id: "0-younger", podName: "", podUid: "" }, LEASE_MS);
      expect(await store.youngestInstance("c")).toBe("0-younger");
      expect(await store.youngestInstance("0-younger")).toBe("a");
      await store.renewInstance("0-younger", -LEASE_MS, false);
      expect(await store.youngestInstance("c")).toBe("a");
    });
  });

  it("pulses: the counter moves at every renewal, and the lease is judged by the store's clock", async () => {
    const store = await openPair();
    const pulseOf = async (id: string) => (await store.readPulses()).find((pulse) => pulse.id === id);
    const first = await pulseOf("a");
    expect(first).toMatchObject({ id: "a", podUid: "pod-of-a", expired: false, draining: false });
    expect(first?.seq).toBeLessThan((await pulseOf("b"))?.seq ?? 0);
    await store.renewInstance("a", -LEASE_MS, true);
    expect(await pulseOf("a")).toEqual({
      ...first,
      renewals: (first?.renewals ?? 0) + 1,
      expired: true,
      draining: true,
    });
    expect(await pulseOf("b")).toMatchObject({ expired: false });
  });
}
