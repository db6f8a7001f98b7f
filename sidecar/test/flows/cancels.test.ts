/** Cancels that meet a broken store, a refusing agent or an attempt that is only beginning. */
import { afterEach, describe, expect, test } from "vitest";
import type { AgentExchange } from "../../src/ports/agent.ts";
import { StoreError } from "../../src/ports/task-store.ts";
import { bodyOf, FlowCluster, type FlowInstance, sendOf, startInstance } from "../support/flow-instance.ts";
import {
  brokenExchange,
  errorOf,
  replyOf,
  resultOf,
  ScriptedAgent,
  ScriptedStream,
  taskOf,
} from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

/** A working task "T". */
async function startTask(cluster: FlowCluster, agent: ScriptedAgent): Promise<void> {
  const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
  agent.on("SendStreamingMessage", () => stream.exchange);
  instance = await startInstance(cluster, agent);
  await instance.call("SendStreamingMessage", sendOf());
}

describe("a cancel", () => {
  test("that the agent turns away at its door does not end the task", async () => {
    const cluster = new FlowCluster();
    await startTask(
      cluster,
      new ScriptedAgent().on("CancelTask", () => replyOf("Unauthorized", 401, "text/plain")),
    );
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.error).toMatchObject({ code: -32603, message: expect.stringContaining("401") as string });
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "working" });
  });

  test("that breaks off is sent again: the agent runs on until it has got one", async () => {
    const answers = [brokenExchange, resultOf(taskOf("T", "CANCELED"))];
    const agent = new ScriptedAgent()
      .on("CancelTask", () => answers.shift() ?? errorOf(-32603))
      .on("GetTask", () => resultOf(taskOf("T", "WORKING")));
    await startTask(new FlowCluster(), agent);
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.result).toMatchObject({ status: { state: "TASK_STATE_CANCELED" } });
    expect(agent.got("CancelTask")).toHaveLength(2);
  });

  test("that breaks off after the agent has followed it is answered with the canceled task", async () => {
    const answers = [brokenExchange, errorOf(-32002)];
    const agent = new ScriptedAgent()
      .on("CancelTask", () => answers.shift() ?? errorOf(-32603))
      .on("GetTask", () => resultOf(taskOf("T", "CANCELED")));
    await startTask(new FlowCluster(), agent);
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.result).toMatchObject({ status: { state: "TASK_STATE_CANCELED" } });
  });

  test("that breaks off time and again does not end the task: its agent may still run it", async () => {
    const cluster = new FlowCluster();
    await startTask(
      cluster,
      new ScriptedAgent().on("CancelTask", () => brokenExchange),
    );
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.error).toMatchObject({ code: -32603, message: expect.stringContaining("broke off") as string });
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "working" });
  });

  test.each([
    ["does not know the task any more", errorOf(-32001)],
    ["is gone", { kind: "failed", end: "refused", cause: null } as const],
  ])("that breaks off because its agent dies ends the task once the agent %s", async (_, second) => {
    const cluster = new FlowCluster();
    const answers: AgentExchange[] = [brokenExchange, second];
    await startTask(
      cluster,
      new ScriptedAgent().on("CancelTask", () => answers.shift() ?? errorOf(-32603)),
    );
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.result).toMatchObject({ status: { state: "TASK_STATE_CANCELED" } });
  });

  test("that the agent answers with a Task still at work does not end it", async () => {
    const cluster = new FlowCluster();
    await startTask(
      cluster,
      new ScriptedAgent().on("CancelTask", () => resultOf(taskOf("T", "WORKING"))),
    );
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.result).toMatchObject({ status: { state: "TASK_STATE_WORKING" } });
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "working", cancel: null });
  });

  test("P11: is carried out although the store's reply to taking its mark was lost", async () => {
    const cluster = new FlowCluster();
    const takeCancel = cluster.store.takeCancel.bind(cluster.store);
    let lost = false;
    cluster.store.takeCancel = async (...args) => {
      const task = await takeCancel(...args);
      if (lost) return task;
      lost = true;
      throw new StoreError("unknown-outcome", "scripted");
    };
    const agent = new ScriptedAgent().on("CancelTask", () => resultOf(taskOf("T", "CANCELED")));
    await startTask(cluster, agent);
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.result).toMatchObject({ status: { state: "TASK_STATE_CANCELED" } });
    expect(agent.got("CancelTask")).toHaveLength(1);
  });

  test("P4, I5: that comes before its claimed task is gone on with ends the turn too, and starts nothing again", async () => {
    const cluster = new FlowCluster();
    const agent = new ScriptedAgent().on("CancelTask", () => resultOf(taskOf("T", "CANCELED")));
    await startTask(cluster, agent);
    const id = instance.context.settings.instanceId;
    await cluster.store.releaseWork(id);
    const claimed = await cluster.store.claimTask("T", { self: id, selfPodUid: "another pod" });
    if (claimed?.turn == null) throw new Error("the released task cannot be claimed");
    await cluster.store.requestCancel("T", null);
    instance.taker.startCancel("T");
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "canceled", { message: "not canceled" });
    instance.taker.recoverTask(claimed);
    await waitFor(() => instance.taker.busy === 0, { message: "the claimed task is not left alone" });
    expect(agent.got("SendStreamingMessage")).toHaveLength(1);
    expect(await cluster.store.readTurn(claimed.turn.turn.id)).toMatchObject({ state: "done", headers: null });
  });

  test("P4: that cannot be opened is refused, and the next one gets through", async () => {
    const cluster = new FlowCluster();
    const agent = new ScriptedAgent().on("CancelTask", () => resultOf(taskOf("T", "CANCELED")));
    const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    agent.on("SendStreamingMessage", () => stream.exchange);
    let opens = 0;
    const seal = {
      seal: (plain: string) => Buffer.from(plain),
      open: (sealed: Uint8Array) => {
        opens += 1;
        // The first is the turn's own.
        if (opens === 2) throw new Error("no key opens it");
        return Buffer.from(sealed).toString();
      },
    };
    instance = await startInstance(cluster, agent, { seal });
    await instance.call("SendStreamingMessage", sendOf());
    expect(bodyOf(await instance.call("CancelTask", { id: "T" })).error).toMatchObject({ code: -32603 });
    const second = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(second.result).toMatchObject({ status: { state: "TASK_STATE_CANCELED" } });
  });

  test("I5: of an attempt that has shown no id yet reaches the agent as soon as it shows one", async () => {
    const cluster = new FlowCluster();
    const agent = new ScriptedAgent().on("CancelTask", () => resultOf(taskOf("T2", "CANCELED")));
    await startTask(cluster, agent);
    const id = instance.context.settings.instanceId;
    const second = Promise.withResolvers<ReturnType<typeof resultOf>>();
    agent.on("SendStreamingMessage", () => second.promise);
    await cluster.store.releaseWork(id);
    const claimed = await cluster.store.claimTask("T", { self: id, selfPodUid: "another pod" });
    if (claimed === null) throw new Error("the released task cannot be claimed");
    instance.taker.recoverTask(claimed);
    await waitFor(() => agent.got("SendStreamingMessage").length === 2, { message: "no second attempt" });
    const before = agent.got("CancelTask").length;
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.result).toMatchObject({ status: { state: "TASK_STATE_CANCELED" } });
    second.resolve(resultOf({ task: taskOf("T2", "WORKING") }));
    await waitFor(() => agent.got("CancelTask").length > before, { message: "the attempt is not cancelled" });
    expect(agent.got("CancelTask").at(-1)?.params).toMatchObject({ id: "T2" });
  });
});
