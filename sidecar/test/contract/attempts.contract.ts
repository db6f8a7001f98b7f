import { describe, expect, it } from "vitest";
import type { OpenStore, RecordStore } from "./task-store.contract.ts";
import { endingWrite, journaled, LEASE_MS, newTurn, startTask, writeOf } from "./task-store-rows.ts";

const claim = { self: "b", selfPodUid: "pod-of-b", from: ["a"], predecessors: [], limit: 10 };

export function describeAttempts(open: OpenStore): void {
  async function openPair(): Promise<RecordStore> {
    const store = await open();
    await store.registerInstance({ id: "a", podName: "", podUid: "pod-of-a" }, LEASE_MS);
    await store.registerInstance({ id: "b", podName: "", podUid: "pod-of-b" }, LEASE_MS);
    return store;
  }

  const die = (store: RecordStore) => store.renewInstance("a", -LEASE_MS, false);

  describe("a further attempt under the same owner", () => {
    it("counts on the turn and on the task, whose id at the agent is not known yet", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      const owner = { instance: "a", epoch: 2 };
      expect(await store.beginAttempt(turnId, owner, 1)).toMatchObject({
        id: turnId,
        attempt: 2,
        epoch: 2,
        state: "bound",
      });
      expect(await store.readTask(taskId)).toMatchObject({ attempt: 2, epoch: 2, agentTaskId: "" });
      expect(await store.append([writeOf(taskId, 1, { attempt: 2 })])).toMatchObject([{ kind: "committed" }]);
      expect((await store.readEvents(taskId, 1, 1, 1))[0]).toMatchObject({ attempt: 2, epoch: 2 });
    });

    it("has ids of its own once the agent has shown them", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.beginAttempt(turnId, { instance: "a", epoch: 2 }, 1);
      const agentIds = { agentTaskId: "second", agentContextId: "its-context" };
      await store.append([writeOf(taskId, 1, { attempt: 2, agentIds })]);
      expect(await store.readTask(taskId)).toMatchObject({ ...agentIds, attempt: 2, contextId: "context" });
      await store.append([writeOf(taskId, 2, { attempt: 2 })]);
      expect(await store.readTask(taskId)).toMatchObject(agentIds);
    });

    it("of a turn without a task", async () => {
      const store = await openPair();
      const turn = await journaled(store);
      const begun = await store.beginAttempt(turn.id, { instance: "a", epoch: 1 }, 1);
      expect(begun).toEqual({ ...turn, attempt: 2 });
      expect(await store.readTurn(turn.id)).toEqual(begun);
    });

    it("is counted once, however often it is asked for because the reply was lost", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      const owner = { instance: "a", epoch: 2 };
      const begun = await store.beginAttempt(turnId, owner, 1);
      expect(await store.beginAttempt(turnId, owner, 1)).toEqual(begun);
      expect(await store.readTask(taskId)).toMatchObject({ attempt: 2 });
      expect(await store.beginAttempt(turnId, owner, 2)).toMatchObject({ attempt: 3 });
      expect(await store.beginAttempt(turnId, owner, 1)).toBeNull();
    });

    it("P4: puts back a turn that a crash of the store lost, and counts on it", async () => {
      const store = await openPair();
      const turn = newTurn({ dedupeKey: "k", body: "lost" });
      const owner = { instance: "a", epoch: 1 };
      expect(await store.beginAttempt(turn.id, owner, 1)).toBeNull();
      expect(await store.beginAttempt(turn.id, { ...owner, turn }, 1)).toMatchObject({ attempt: 2, body: "lost" });
      expect(await store.beginAttempt(turn.id, { ...owner, turn }, 1)).toMatchObject({ attempt: 2 });
      expect(await store.readTurn(turn.id)).toMatchObject({ state: "dispatched", instance: "a", attempt: 2 });
    });

    it("I5: is refused to whoever does not hold the turn", async () => {
      const store = await openPair();
      const unbound = await journaled(store);
      const { turnId, taskId } = await startTask(store);
      expect(await store.beginAttempt(unbound.id, { instance: "b", epoch: 1 }, 1)).toBeNull();
      expect(await store.beginAttempt(unbound.id, { instance: "a", epoch: 2 }, 1)).toBeNull();
      expect(await store.beginAttempt(turnId, { instance: "b", epoch: 2 }, 1)).toBeNull();
      expect(await store.beginAttempt(turnId, { instance: "a", epoch: 1 }, 1)).toBeNull();
      await store.append([endingWrite(taskId, 1, turnId)]);
      expect(await store.beginAttempt(turnId, { instance: "a", epoch: 2 }, 1)).toBeNull();
      expect(await store.beginAttempt("unknown", { instance: "a", epoch: 2 }, 1)).toBeNull();
      expect((await store.readTurn(unbound.id))?.attempt).toBe(1);
    });
  });

  describe("calls only an agent that is gone could answer", () => {
    it("end as failed, once, and only they", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      const dispatched = await journaled(store, { taskId, purpose: "call", aside: true });
      const waiting = await journaled(store, { taskId, purpose: "call", aside: true, self: "b", instance: "b" });
      expect([dispatched.state, waiting.state]).toEqual(["dispatched", "journaled"]);
      expect(await store.failOrphans(["a"])).toEqual([]);
      await die(store);
      expect(await store.failOrphans([])).toEqual([]);
      await store.claimWork(claim);
      expect((await store.failOrphans(["a"])).sort()).toEqual([dispatched.id, waiting.id].sort());
      expect(await store.failOrphans(["a"])).toEqual([]);
      expect(await store.readTurn(dispatched.id)).toMatchObject({ state: "failed", reply: null, headers: null });
      expect(await store.readTurn(turnId)).toMatchObject({ state: "bound" });
    });

    it("P4: so do messages whose task is finished, for nobody claims them", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      const aside = await journaled(store, { taskId, aside: true });
      await store.append([endingWrite(taskId, 1, turnId, "completed")]);
      expect(await store.failOrphans(["a"])).toEqual([]);
      await die(store);
      await store.claimWork(claim);
      expect(await store.failOrphans(["a"])).toEqual([aside.id]);
      expect(await store.readTurn(aside.id)).toMatchObject({ state: "failed", headers: null });
    });

    it("a call that its task's next owner has taken is that one's", async () => {
      const store = await openPair();
      const { taskId } = await startTask(store);
      const call = await journaled(store, { taskId, purpose: "call", aside: true, self: "b", instance: "b" });
      await die(store);
      await store.claimWork(claim);
      expect(await store.takeTurn(call.id, "b")).toMatchObject({ instance: "b" });
      expect(await store.failOrphans(["a"])).toEqual([]);
    });
  });
}
