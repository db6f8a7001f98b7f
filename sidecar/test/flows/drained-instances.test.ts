/** P8: what arrives while an instance hands its work over, or after that, is handed over too. */
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { FlowCluster, type FlowInstance, sendOf, startInstance } from "../support/flow-instance.ts";
import { resultOf, ScriptedAgent, ScriptedStream, taskOf } from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

test("P8: a task that is only being created while the others are handed over is handed over too", async () => {
  const cluster = new FlowCluster();
  const { store } = cluster;
  const names = ["A", "B"];
  const agent = new ScriptedAgent().on("SendStreamingMessage", () => {
    return new ScriptedStream().send({ task: taskOf(names.shift() ?? "", "WORKING") }).exchange;
  });
  instance = await startInstance(cluster, agent);
  const { context, drain } = instance;
  const self = context.settings.instanceId;
  await instance.call("SendStreamingMessage", sendOf());
  await waitFor(() => store.readTask("A"), { message: "no task A" });
  const held = Promise.withResolvers<void>();
  const createTask = store.createTask.bind(store);
  store.createTask = (creation) => held.promise.then(() => createTask(creation));
  await instance.call("SendStreamingMessage", sendOf());
  await waitFor(() => agent.got("SendStreamingMessage").length === 2, { message: "B is not begun" });
  // A statement that has taken its picture before B was committed.
  const releaseWork = store.releaseWork.bind(store);
  store.releaseWork = async () => {
    store.releaseWork = releaseWork;
    const [turn] = store.turns;
    if (turn === undefined || !(await store.releaseTurn(turn.id, { instance: self, epoch: 2 }, false)))
      throw new Error("no A");
    held.resolve();
    await waitFor(() => context.recorders.get("B"), { message: "B is not created" });
    return { taskIds: ["A"], turnIds: [turn.id] };
  };
  await drain.begin(context);
  for (const id of ["A", "B"]) expect(await store.readTask(id)).toMatchObject({ owner: "", state: "working" });
  expect(store.turns).toMatchObject(Array(2).fill({ instance: "", attempt: 1, handovers: 1 }));
  await waitFor(() => agent.got("CancelTask").length === 2, { message: "the runs here are not cancelled" });
});

describe("a drained instance with a task that waits for input", () => {
  async function drained(): Promise<{ cluster: FlowCluster; agent: ScriptedAgent }> {
    const cluster = new FlowCluster();
    const agent = new ScriptedAgent().on("SendMessage", () => resultOf({ task: taskOf("T", "INPUT_REQUIRED") }));
    instance = await startInstance(cluster, agent);
    await instance.call("SendMessage", sendOf());
    await instance.drain.begin(instance.context);
    return { cluster, agent };
  }

  test.each(["here", "through another instance"])(
    "P8: gives it up as soon as an answer comes %s, which counts no attempt and no hand-over",
    async (where) => {
      const { cluster, agent } = await drained();
      expect(await cluster.store.readTask("T")).toMatchObject({ owner: instance.context.settings.instanceId });
      const agentOfOther = new ScriptedAgent().on("SendMessage", () => resultOf({ task: taskOf("T2", "COMPLETED") }));
      const other = await startInstance(cluster, agentOfOther, { heardOf: () => true });
      const answered = (where === "here" ? instance : other).call("SendMessage", sendOf({ taskId: "T" }));
      await waitFor(async () => (await cluster.store.readTask("T"))?.owner === "", { message: "it keeps the task" });
      const self = other.context.settings.instanceId;
      other.taker.recover(
        await cluster.store.claimWork({ self, selfPodUid: self, from: [], predecessors: [], limit: 9 }),
      );
      await answered;
      await other.stop();
      expect(await cluster.store.readTask("T")).toMatchObject({ state: "completed" });
      expect(cluster.store.turns.at(-1)).toMatchObject({ state: "done", attempt: 1, handovers: 0 });
      expect([agent.got("SendMessage"), agentOfOther.got("SendMessage")]).toMatchObject([{ length: 1 }, { length: 1 }]);
    },
  );

  test("P8: hands over, before it ends, what it was given after its drain", async () => {
    const { cluster } = await drained();
    const [turn] = cluster.store.turns;
    if (turn === undefined) throw new Error("no turn");
    await cluster.store.setDraining(turn.instance, false);
    const later = { ...turn, id: randomUUID(), headers: Buffer.from("{}"), taskId: "T", self: turn.instance };
    const journaled = await cluster.store.journal({ ...later, dedupeKey: null });
    expect(journaled).toMatchObject({ kind: "inserted", turn: { state: "dispatched" } });
    await instance.drain.begin(instance.context);
    expect(await cluster.store.readTask("T")).toMatchObject({ owner: "" });
    expect(await cluster.store.readTurn(later.id)).toMatchObject({ instance: "", attempt: 1, handovers: 1 });
  });
});
