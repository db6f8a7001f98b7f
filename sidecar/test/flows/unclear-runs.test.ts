/** P4: runs of which the agent does not say how they stand: the caller's credentials have run out, or it talks nonsense. */
import { afterEach, describe, expect, test } from "vitest";
import type { AgentExchange } from "../../src/ports/agent.ts";
import { FlowCluster, type FlowInstance, fastClock, sendOf, startInstance } from "../support/flow-instance.ts";
import {
  errorOf,
  replyOf,
  resultOf,
  ScriptedAgent,
  ScriptedStream,
  statusOf,
  taskOf,
} from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

const denied: AgentExchange = replyOf("Unauthorized", 401, "text/plain");
const nonsense: AgentExchange = replyOf("<html>", 500, "text/html");

let instance: FlowInstance;

afterEach(() => instance.stop());

async function endOf(cluster: FlowCluster): Promise<string> {
  await waitFor(async () => (await cluster.store.readTask("T"))?.state === "failed", { message: "nobody ends it" });
  await waitFor(() => instance.taker.busy === 0, { message: "it is still asked about" });
  return (await cluster.store.readEvents("T", 0, 100, 100_000)).at(-1)?.payload ?? "";
}

/** A run "T" that is polled, because its agent does not stream. */
async function polled(agent: ScriptedAgent): Promise<FlowCluster> {
  const cluster = new FlowCluster(fastClock(1_000));
  agent
    .on("SendMessage", () => resultOf({ task: taskOf("T", "WORKING") }))
    .on("SubscribeToTask", () => errorOf(-32004));
  instance = await startInstance(cluster, agent);
  await instance.call("SendMessage", sendOf({}, { returnImmediately: true }));
  return cluster;
}

/** A run "T" whose stream has broken off. */
async function brokenOff(agent: ScriptedAgent): Promise<FlowCluster> {
  const cluster = new FlowCluster(fastClock(1_000));
  const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
  agent.on("SendStreamingMessage", () => stream.exchange);
  instance = await startInstance(cluster, agent);
  await instance.call("SendStreamingMessage", sendOf());
  await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
  stream.end("broken");
  return cluster;
}

/** A run "T" whose sidecar was started anew; without a turn where the agent has gone on by itself. */
async function restarted(agent: ScriptedAgent, { turn }: { turn: boolean }): Promise<FlowCluster> {
  const cluster = new FlowCluster(fastClock(1_000));
  const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
  const former = await startInstance(
    cluster,
    new ScriptedAgent()
      .on("SendStreamingMessage", () => stream.exchange)
      .on("GetTask", () => resultOf(taskOf("T", "WORKING")))
      .on("SubscribeToTask", () => errorOf(-32001)),
  );
  await former.call("SendStreamingMessage", sendOf());
  await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
  if (!turn) {
    stream.end();
    await waitFor(() => cluster.store.turns[0]?.state === "done", { message: "the turn does not end" });
  }
  await former.stop();
  const { podUid } = former.context;
  instance = await startInstance(cluster, agent, { podUid });
  const self = instance.context.settings.instanceId;
  await cluster.store.registerInstance({ id: self, podName: "", podUid }, 60_000);
  const claimed = await cluster.store.claimTask("T", { self, selfPodUid: podUid });
  if (claimed?.samePod !== true) throw new Error("the task is not claimed as the same pod's");
  instance.taker.recoverTask(claimed);
  return cluster;
}

describe("a run whose credentials the agent no longer accepts", () => {
  test.each([
    ["is polled", polled],
    ["has lost its stream", brokenOff],
    ["is found by a sidecar that was started anew", (agent: ScriptedAgent) => restarted(agent, { turn: true })],
  ])("P4: and that %s ends as failed, and the credentials are erased", async (_, run) => {
    const agent = new ScriptedAgent().on("GetTask", () => denied).on("SubscribeToTask", () => denied);
    const cluster = await run(agent);
    expect(await endOf(cluster)).toContain("credentials");
    expect(cluster.store.turns).toMatchObject([{ state: "done", headers: null }]);
    expect(agent.got("GetTask").length).toBeLessThan(20);
  });

  test("P4: and that has no turn any more, thus no credentials, ends as failed with its owner", async () => {
    const agent = new ScriptedAgent().on("GetTask", () => denied).on("SubscribeToTask", () => denied);
    expect(await endOf(await restarted(agent, { turn: false }))).toContain("instance that ran this task is gone");
  });

  test("goes on as long as a source of it is readable", async () => {
    const subscription = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    const agent = new ScriptedAgent().on("GetTask", () => denied);
    const cluster = await polled(agent);
    agent.on("SubscribeToTask", () => subscription.exchange);
    await waitFor(() => agent.got("GetTask").length > 12, { message: "it is not asked about while it is quiet" });
    subscription.send(statusOf("T", "COMPLETED")).end();
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "completed", { message: "not completed" });
  });

  test("lets a message that waits for it go ahead: that has credentials of its own", async () => {
    const agent = new ScriptedAgent().on("GetTask", () => denied);
    const cluster = await polled(agent);
    agent.on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }));
    await instance.call("SendMessage", sendOf({ taskId: "T" }));
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "completed" });
  });
});

describe("a run of which the agent gives no usable answer", () => {
  test.each([
    ["is polled", polled],
    ["has lost its stream", brokenOff],
  ])("P4: and that %s ends as failed at last, and is not asked about without a pause until then", async (_, run) => {
    const agent = new ScriptedAgent().on("GetTask", () => nonsense).on("SubscribeToTask", () => nonsense);
    const cluster = await run(agent);
    expect(await endOf(cluster)).toContain("how the work goes on");
    expect(agent.got("GetTask").length).toBeLessThan(60);
    expect(agent.got("CancelTask").map(({ params }) => params)).toMatchObject([{ id: "T" }]);
  });

  test("I5: for a while is followed on once it does, and nothing is started again", async () => {
    const agent = new ScriptedAgent().on("GetTask", () => nonsense).on("SubscribeToTask", () => nonsense);
    const cluster = await brokenOff(agent);
    await waitFor(() => agent.got("GetTask").length >= 8, { message: "it is given up" });
    const subscription = new ScriptedStream().send({ task: taskOf("T", "WORKING") }, statusOf("T", "COMPLETED"));
    agent.on("GetTask", () => resultOf(taskOf("T", "WORKING"))).on("SubscribeToTask", () => subscription.exchange);
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "completed", { message: "not completed" });
    expect(agent.got("SendStreamingMessage")).toHaveLength(1);
  });
});
