import { describe, expect, it } from "vitest";
import type { ClaimRequest } from "../../src/ports/recovery-store.ts";
import type { OpenStore, RecordStore } from "./task-store.contract.ts";
import {
  endingWrite,
  headOf,
  journaled,
  LEASE_MS,
  newTurn,
  startTask,
  statusEvent,
  writeOf,
} from "./task-store-rows.ts";

const POD = "pod-of-b";
const claimer = { self: "b", selfPodUid: POD };

function claim(request: Partial<ClaimRequest> = {}): ClaimRequest {
  return { ...claimer, from: [], predecessors: [], limit: 10, ...request };
}

export function describeClaims(open: OpenStore): void {
  /** `a` works and is alive, `b` is alive in another pod. */
  async function openPair(): Promise<RecordStore> {
    const store = await open();
    await store.registerInstance({ id: "a", podName: "", podUid: "pod-of-a" }, LEASE_MS);
    await store.registerInstance({ id: "b", podName: "", podUid: POD }, LEASE_MS);
    return store;
  }

  const die = (store: RecordStore) => store.renewInstance("a", -LEASE_MS, false);

  describe("who may be claimed from", () => {
    it.each<[string, (store: RecordStore) => Promise<unknown>, Partial<ClaimRequest>, boolean]>([
      ["silent, and its lease has run out", die, { from: ["a"] }, true],
      ["silent, but its lease runs: a clock of the claimer's went wrong", async () => {}, { from: ["a"] }, false],
      ["not silent, though its lease has run out: the store was away", die, {}, false],
      ["not silent, and draining", (store) => store.renewInstance("a", LEASE_MS, true), {}, false],
      ["without a row", (store) => store.removeInstance("a"), {}, true],
      ["a predecessor in the claimer's pod, whatever its lease says", movesIn, { predecessors: ["a"] }, true],
      ["called a predecessor, but of another pod", async () => {}, { predecessors: ["a"] }, false],
    ])("%s", async (_, happens, request, claimed) => {
      const store = await openPair();
      const turn = await journaled(store);
      const { taskId } = await startTask(store);
      await happens(store);
      const work = await store.claimWork(claim(request));
      expect(work.turns.map((row) => row.turn.id)).toEqual(claimed ? [turn.id] : []);
      expect(work.tasks.map((row) => row.task.taskId)).toEqual(claimed ? [taskId] : []);
      expect((await store.readTask(taskId))?.owner).toBe(claimed ? "b" : "a");
      expect((await store.readTurn(turn.id))?.instance).toBe(claimed ? "b" : "a");
    });

    it("never from itself, even if somebody says so", async () => {
      const store = await openPair();
      await journaled(store, { instance: "b", self: "b" });
      await store.renewInstance("b", -LEASE_MS, false);
      const work = await store.claimWork(claim({ from: ["b"], predecessors: ["b"] }));
      expect(work).toEqual({ turns: [], tasks: [] });
    });

    it("claims again what a further instance has taken and died with", async () => {
      const store = await openPair();
      const { taskId } = await startTask(store);
      await die(store);
      await store.claimWork(claim({ from: ["a"] }));
      await store.removeInstance("b");
      const [again] = (await store.claimWork({ ...claim(), self: "c", selfPodUid: "pod-of-c" })).tasks;
      expect(again).toMatchObject({ task: { taskId, owner: "c", epoch: 4 }, turn: { turn: { attempt: 3 } } });
    });

    /** Puts the row of `a` into the pod of `b`, where it started first. */
    async function movesIn(store: RecordStore): Promise<void> {
      await store.removeInstance("a");
      await store.removeInstance("b");
      await store.registerInstance({ id: "a", podName: "", podUid: POD }, LEASE_MS);
      await store.registerInstance({ id: "b", podName: "", podUid: POD }, LEASE_MS);
    }
  });

  describe("a claimed turn without a task", () => {
    it("P4 I5: is dispatched to the claimer, one epoch and one attempt on", async () => {
      const store = await openPair();
      const turn = await journaled(store, { body: "B" });
      await die(store);
      const { turns } = await store.claimWork(claim({ from: ["a"] }));
      const row = { ...turn, instance: "b", instanceAlive: true, epoch: 2, attempt: 2, state: "dispatched" };
      expect(turns).toEqual([{ turn: row, before: "dispatched", samePod: false }]);
      expect(await store.readTurn(turn.id)).toEqual(row);
      expect(await store.claimWork(claim({ from: ["a"] }))).toEqual({ turns: [], tasks: [] });
    });

    it("that no agent was given begins its first attempt", async () => {
      const store = await openPair();
      const turn = await journaled(store, { instance: "a", self: "c" });
      await die(store);
      const { turns } = await store.claimWork(claim({ from: ["a"] }));
      expect(turns).toMatchObject([{ before: "journaled", turn: { id: turn.id, state: "dispatched", attempt: 1 } }]);
      expect((await store.findWork("b")).turnIds).toEqual([]);
    });

    it("I2: leaves its former holder nothing to create or end", async () => {
      const store = await openPair();
      const turn = await journaled(store);
      await die(store);
      await store.claimWork(claim({ from: ["a"] }));
      const end = { turnId: turn.id, state: "done" as const, reply: null, epoch: 1, instance: "a" };
      expect(await store.endTurn(end)).toEqual({ kind: "deposed" });
      expect(await store.takeTurn(turn.id, "a")).toBeNull();
      const task = { taskId: "t", contextId: "c", agentTaskId: "t", agentContextId: "c", dialect: "1.0" as const };
      const creation = {
        turnId: turn.id,
        task,
        events: [statusEvent()],
        head: headOf("working"),
        snapshot: null,
        end: null,
      };
      expect(await store.createTask({ ...creation, epoch: 1 })).toEqual({ kind: "deposed" });
      expect(await store.createTask({ ...creation, epoch: 2 })).toMatchObject({ kind: "created", epoch: 3 });
      expect(await store.readTask("t")).toMatchObject({ owner: "b", attempt: 2 });
    });

    it("that has ended is nobody's to claim", async () => {
      const store = await openPair();
      const turn = await journaled(store);
      await store.endTurn({ turnId: turn.id, state: "done", reply: null, epoch: 1, instance: "a" });
      await die(store);
      expect(await store.claimWork(claim({ from: ["a"] }))).toEqual({ turns: [], tasks: [] });
    });
  });

  describe("a claimed task", () => {
    it("P4 P5: is the claimer's, one epoch on, its turn one attempt on; the deposed owner is fenced", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      const before = await store.readTask(taskId);
      await die(store);
      const { tasks, turns } = await store.claimWork(claim({ from: ["a"] }));
      expect(turns).toEqual([]);
      expect(tasks).toHaveLength(1);
      const task = { ...before, owner: "b", ownerAlive: true, epoch: 3, attempt: 2, agentTaskId: "" };
      expect(tasks[0]).toMatchObject({ task, samePod: false });
      expect(await store.readTask(taskId)).toEqual(task);
      const turn = { id: turnId, state: "bound", instance: "b", epoch: 3, attempt: 2, handovers: 0 };
      expect(tasks[0]?.turn).toMatchObject({ turn, before: "bound", samePod: false });
      expect(await store.append([writeOf(taskId, 1)])).toEqual([{ kind: "fenced" }]);
      expect(await store.append([writeOf(taskId, 1, { epoch: 3 })])).toMatchObject([{ kind: "committed" }]);
    });

    it("of a process in the same pod keeps the agent's id, so that it can be asked", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: POD }, LEASE_MS);
      const { taskId } = await startTask(store);
      await store.registerInstance({ id: "b", podName: "", podUid: POD }, LEASE_MS);
      const [claimed] = (await store.claimWork(claim({ predecessors: ["a"] }))).tasks;
      expect(claimed).toMatchObject({ samePod: true, task: { agentTaskId: taskId }, turn: { samePod: true } });
      expect(await store.readTask(taskId)).toMatchObject({ agentTaskId: taskId });
    });

    it("P4: is not cut off from its pod: a predecessor is forgotten once it holds nothing any more", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: POD }, LEASE_MS);
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId)]);
      await store.registerInstance({ id: "b", podName: "", podUid: POD }, LEASE_MS);
      const known = async () => (await store.readPulses()).map(({ id }) => id).sort();
      await store.forgetInstances(["a"]);
      expect(await known()).toEqual(["a", "b"]);
      expect(await store.claimTask(taskId, claimer)).toMatchObject({ samePod: true });
      await store.forgetInstances(["a"]);
      expect(await known()).toEqual(["b"]);
    });

    it("that waits for input is its successor's in the same pod, whose agent knows it, and nobody else's", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: POD }, LEASE_MS);
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId, "input-required")]);
      await store.registerInstance({ id: "b", podName: "", podUid: POD }, LEASE_MS);
      await die(store);
      expect((await store.claimWork(claim({ from: ["a"] }))).tasks).toEqual([]);
      const { tasks } = await store.claimWork(claim({ predecessors: ["a"] }));
      expect(tasks).toMatchObject([{ samePod: true, turn: null, task: { owner: "b", agentTaskId: taskId } }]);
    });

    it.each([
      ["at input-required", "input-required", []],
      ["completed", "completed", []],
      ["at auth-required, where the agent goes on by itself", "auth-required", ["taken"]],
      ["working without a turn", "working", ["taken"]],
      ["in an unknown state", "unknown", ["taken"]],
    ] as const)("needs somebody or not: %s", async (_, state, taken) => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId, state)]);
      await die(store);
      const { tasks } = await store.claimWork(claim({ from: ["a"] }));
      expect(tasks.map(({ turn }) => (turn === null ? "taken" : "with a turn"))).toEqual(taken);
      expect(await store.readTask(taskId)).toMatchObject({ state, generation: 2 });
    });

    it("a follow-up without events keeps the queue, and what waits behind it", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId)]);
      const turn = await journaled(store, { taskId });
      const queued = await journaled(store, { taskId });
      expect([turn.state, queued.state]).toEqual(["dispatched", "queued"]);
      await die(store);
      const { tasks } = await store.claimWork(claim({ from: ["a"] }));
      const row = { id: turn.id, state: "dispatched", attempt: 2, firstGeneration: null };
      expect(tasks).toMatchObject([{ task: { state: "input-required" }, turn: { before: "dispatched", turn: row } }]);
      expect(await store.readTurn(queued.id)).toMatchObject({ state: "queued", attempt: 1 });
      const third = await journaled(store, { taskId, self: "b", instance: "b" });
      expect(third.state).toBe("queued");
      const end = { ...endingWrite(taskId, 2, turn.id), firstOf: turn.id, epoch: 3 };
      expect(await store.append([end])).toMatchObject([{ promoted: queued.id }]);
    });

    it("a follow-up that nobody had taken begins its first attempt", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId)]);
      const turn = await journaled(store, { taskId, self: "b", instance: "b" });
      expect(turn.state).toBe("journaled");
      await die(store);
      const { tasks } = await store.claimWork(claim({ from: ["a"] }));
      const row = { id: turn.id, state: "dispatched", attempt: 1 };
      expect(tasks).toMatchObject([{ turn: { before: "journaled", turn: row } }]);
      expect((await store.findWork("b")).turnIds).toEqual([]);
    });

    it("a follow-up sent after its owner had gone comes with the task", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId)]);
      await die(store);
      const turn = await journaled(store, { taskId, self: "b", instance: "b" });
      const { tasks } = await store.claimWork({ ...claim({ from: ["a"] }), self: "c" });
      expect(tasks).toMatchObject([{ task: { taskId, owner: "c" }, turn: { turn: { id: turn.id } } }]);
    });

    it("a turn that gave up the queue is the one in flight while none came after it, and holds the queue again", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.releaseQueue(turnId, 2);
      await die(store);
      const { tasks } = await store.claimWork(claim({ from: ["a"] }));
      expect(tasks).toMatchObject([{ turn: { before: "bound", turn: { id: turnId, attempt: 2 } } }]);
      expect((await journaled(store, { taskId, self: "b", instance: "b" })).state).toBe("queued");
    });

    it("a turn that gave up the queue to another is over, and is not run again by any later claim", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.releaseQueue(turnId, 2);
      const next = await journaled(store, { taskId });
      await die(store);
      const { tasks } = await store.claimWork(claim({ from: ["a"] }));
      expect(tasks).toMatchObject([{ turn: { turn: { id: next.id } } }]);
      expect(await store.readTurn(turnId)).toMatchObject({ state: "done", lastGeneration: 1, headers: null });
    });

    it("a turn that gave up the queue to one that has ended since is over too", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.releaseQueue(turnId, 2);
      const next = await journaled(store, { taskId });
      await store.append([{ ...endingWrite(taskId, 1, next.id, "working"), firstOf: next.id }]);
      await die(store);
      const { tasks } = await store.claimWork(claim({ from: ["a"] }));
      expect(tasks).toMatchObject([{ task: { taskId }, turn: null }]);
      expect(await store.readTurn(turnId)).toMatchObject({ state: "done", lastGeneration: 2 });
    });

    it("a message forwarded aside went down with its agent and waits behind the turn that is started again", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      const aside = await journaled(store, { taskId, aside: true });
      expect(aside.state).toBe("dispatched");
      await die(store);
      const { tasks } = await store.claimWork(claim({ from: ["a"] }));
      expect(tasks).toMatchObject([{ turn: { turn: { id: turnId } } }]);
      expect(await store.readTurn(aside.id)).toMatchObject({ state: "queued", aside: false, attempt: 2 });
      const end = { ...endingWrite(taskId, 1, turnId), epoch: 3 };
      expect(await store.append([end])).toMatchObject([{ promoted: aside.id }]);
    });

    it("a message forwarded aside that is alone is the turn in flight", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId, "auth-required")]);
      const aside = await journaled(store, { taskId, aside: true });
      await die(store);
      const { tasks } = await store.claimWork(claim({ from: ["a"] }));
      const row = { id: aside.id, aside: false, attempt: 2 };
      expect(tasks).toMatchObject([{ turn: { before: "dispatched", turn: row } }]);
    });

    it("a cancel mark the former owner took can be taken again, an answered one keeps its answer", async () => {
      const store = await openPair();
      const [taken, refused] = [await startTask(store), await startTask(store)];
      for (const { taskId } of [taken, refused]) {
        await store.requestCancel(taskId, Uint8Array.of(1));
        await store.takeCancel(taskId, "a");
      }
      await store.refuseCancel(refused.taskId, 2, "{}");
      await die(store);
      await store.claimWork(claim({ from: ["a"] }));
      expect((await store.findWork("b")).cancelTaskIds).toEqual([taken.taskId]);
      expect(await store.readTask(taken.taskId)).toMatchObject({ cancel: { taken: false, headers: Uint8Array.of(1) } });
      expect(await store.readTask(refused.taskId)).toMatchObject({ cancel: { taken: true, error: "{}" } });
    });

    it("takes no more than the limit, of tasks and of turns", async () => {
      const store = await openPair();
      for (let n = 0; n < 5; n += 1) await startTask(store);
      for (let n = 0; n < 5; n += 1) await journaled(store);
      await die(store);
      const sizes: number[][] = [];
      for (let n = 0; n < 4; n += 1) {
        const work = await store.claimWork(claim({ from: ["a"], limit: 2 }));
        sizes.push([work.turns.length, work.tasks.length]);
      }
      expect(sizes).toEqual([
        [2, 2],
        [2, 2],
        [1, 1],
        [0, 0],
      ]);
    });
  });

  describe("a task claimed because a client speaks to it", () => {
    it.each<[string, (store: RecordStore) => Promise<unknown>, boolean]>([
      ["its owner lives", async () => {}, false],
      ["its owner drains but lives", (store) => store.renewInstance("a", LEASE_MS, true), false],
      ["its owner's lease has run out", die, true],
      ["its owner has no row", (store) => store.removeInstance("a"), true],
    ])("%s", async (_, happens, claimed) => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId)]);
      await happens(store);
      const outcome = await store.claimTask(taskId, claimer);
      const task = { taskId, owner: "b", epoch: 3, agentTaskId: "", state: "input-required" };
      const found = outcome && { turn: outcome.turn, samePod: outcome.samePod };
      expect(found).toEqual(claimed ? { turn: null, samePod: false } : null);
      expect(await store.readTask(taskId)).toMatchObject(claimed ? task : { owner: "a", epoch: 2 });
      expect(outcome?.task ?? null).toEqual(claimed ? await store.readTask(taskId) : null);
    });

    it("comes with the turn that waits for an owner", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId)]);
      await store.removeInstance("a");
      const turn = await journaled(store, { taskId, self: "b", instance: "b" });
      const claimed = await store.claimTask(taskId, claimer);
      expect(claimed?.turn).toMatchObject({
        before: "journaled",
        turn: { id: turn.id, state: "dispatched", attempt: 1 },
      });
      expect(await store.takeTurn(turn.id, "b")).toBeNull();
    });

    it("is not the claimer's already, finished or unknown", async () => {
      const store = await openPair();
      const { taskId, turnId } = await startTask(store);
      expect(await store.claimTask("unknown", claimer)).toBeNull();
      await die(store);
      expect(await store.claimTask(taskId, { self: "a", selfPodUid: "pod-of-a" })).toBeNull();
      await store.append([endingWrite(taskId, 1, turnId, "completed")]);
      expect(await store.claimTask(taskId, claimer)).toBeNull();
    });

    it("of a predecessor in the claimer's pod is claimed whatever its lease says", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: POD }, LEASE_MS);
      const { taskId } = await startTask(store);
      await store.registerInstance({ id: "b", podName: "", podUid: POD }, LEASE_MS);
      const claimed = await store.claimTask(taskId, claimer);
      expect(claimed).toMatchObject({ samePod: true, task: { agentTaskId: taskId }, turn: { before: "bound" } });
    });
  });

  it("a message journaled for an instance that is gone joins its retry and is claimed once (P7)", async () => {
    const store = await openPair();
    const turn = await journaled(store, { dedupeKey: "k" });
    await die(store);
    await store.claimWork(claim({ from: ["a"] }));
    const joined = await store.journal(newTurn({ dedupeKey: "k", self: "b", instance: "b" }));
    expect(joined).toMatchObject({ kind: "joined", turn: { id: turn.id, instance: "b", attempt: 2 } });
  });
}
