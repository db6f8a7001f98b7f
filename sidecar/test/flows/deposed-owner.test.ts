/** An owner that was deposed without hearing of it. */
import { afterEach, describe, expect, test } from "vitest";
import { bodyOf, FlowCluster, type FlowInstance, sendOf, startInstance } from "../support/flow-instance.ts";
import { errorOf, resultOf, ScriptedAgent, ScriptedStream, statusOf, taskOf } from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

let instances: FlowInstance[] = [];

afterEach(async () => {
  for (const instance of instances) await instance.stop();
  instances = [];
});

async function start(...args: Parameters<typeof startInstance>): Promise<FlowInstance> {
  const instance = await startInstance(...args);
  instances.push(instance);
  return instance;
}

/** An agent whose runs say that they work, and then nothing. */
function silentAgent(streams: ScriptedStream[] = []) {
  return new ScriptedAgent()
    .on("SendMessage", () => resultOf({ task: taskOf("T", "WORKING") }))
    .on("GetTask", () => resultOf(taskOf("T", "WORKING")))
    .on("CancelTask", () => resultOf(taskOf("T", "CANCELED")))
    .on("SubscribeToTask", () => {
      const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
      streams.push(stream);
      return stream.exchange;
    });
}

describe("an owner deposed while its agent is silent", () => {
  test("P5: answers whoever waits at it with what the record says, and cancels at its agent", async () => {
    const cluster = new FlowCluster();
    const agent = silentAgent();
    const owner = await start(cluster, agent);
    const waiting = owner.call("SendMessage", sendOf());
    await waitFor(() => agent.got("SubscribeToTask").length > 0, { message: "the run is not followed" });
    const canceled = { kind: "status" as const, payload: JSON.stringify(statusOf("T", "CANCELED")), hidden: null };
    await cluster.store.requestCancel("T", null);
    const deposed = await cluster.store.deposeAndCancel({
      self: "another",
      taskId: "T",
      tenant: "",
      epoch: 2,
      attempt: 1,
      expected: 1,
      events: [canceled],
      head: { state: "canceled", statusTimestamp: null, contextId: "C" },
      snapshot: null,
      end: null,
      firstOf: null,
      cancelAnswered: true,
    });
    expect(deposed).toMatchObject({ epoch: 3 });
    expect(bodyOf(await waiting).result).toMatchObject({ task: { status: { state: "TASK_STATE_CANCELED" } } });
    await waitFor(() => owner.taker.busy === 0, { message: "the deposed run goes on" });
    expect(agent.got("CancelTask")).toHaveLength(1);
  });

  test("P4: runs the turn again when the task comes back to it, however long its former run lingers", async () => {
    const cluster = new FlowCluster();
    const streams: ScriptedStream[] = [];
    const agent = silentAgent(streams);
    const owner = await start(cluster, agent);
    const waiting = owner.call("SendMessage", sendOf());
    await waitFor(() => agent.got("SubscribeToTask").length > 0, { message: "the run is not followed" });
    agent.on("SendMessage", () => resultOf({ task: taskOf("T2", "COMPLETED") }));
    const id = owner.context.settings.instanceId;
    await cluster.store.releaseWork(id);
    const claimed = await cluster.store.claimTask("T", { self: id, selfPodUid: id });
    if (claimed === null) throw new Error("the released task cannot be claimed");
    owner.taker.recoverTask(claimed);
    expect(bodyOf(await waiting).result).toMatchObject({
      task: { id: "T", status: { state: "TASK_STATE_COMPLETED" } },
    });
    expect(streams.every((stream) => stream.closed)).toBe(true);
  });
});

describe("an owner whose lease seems to be over because the store's clock has jumped", () => {
  test("P1: keeps its task that waits for input for as long as it was heard of; the answer goes to its agent", async () => {
    const cluster = new FlowCluster();
    const agent = new ScriptedAgent().on("SendMessage", () => resultOf({ task: taskOf("T", "INPUT_REQUIRED") }));
    const owner = await start(cluster, agent);
    const stranger = new ScriptedAgent();
    await owner.call("SendMessage", sendOf());
    let heard = 0;
    const heardOf = (): boolean => {
      heard += 1;
      return true;
    };
    const other = await start(cluster, stranger, { heardOf });
    const { instanceId } = owner.context.settings;
    await cluster.store.renewInstance(instanceId, -1, false);
    agent
      .on("SubscribeToTask", () => errorOf(-32001))
      .on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }));
    const answer = other.call("SendMessage", sendOf({ taskId: "T", contextId: "C" }));
    await waitFor(() => heard > 1, { message: "nobody asks whether the owner was heard of" });
    await cluster.store.renewInstance(instanceId, 60_000, false);
    expect(bodyOf(await answer).result).toMatchObject({ task: { status: { state: "TASK_STATE_COMPLETED" } } });
    expect(stranger.calls).toEqual([]);
  });
});
