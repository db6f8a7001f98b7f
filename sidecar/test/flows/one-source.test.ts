/** I4: whatever begins and ends meanwhile, one upstream source at a time feeds a task's record. */
import { afterEach, describe, expect, test } from "vitest";
import { bodyOf, FlowCluster, type FlowInstance, fastClock, sendOf, startInstance } from "../support/flow-instance.ts";
import { artifactOf, resultOf, ScriptedAgent, ScriptedStream, statusOf, taskOf } from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

describe("one source", () => {
  test("I4: a follow-up to a run that has gone quiet takes its place, so that no event is recorded twice", async () => {
    const cluster = new FlowCluster(fastClock(1_000));
    const subscriptions: ScriptedStream[] = [];
    const agent = new ScriptedAgent()
      .on("GetTask", () => resultOf(taskOf("T", "WORKING")))
      .on("SubscribeToTask", () => {
        const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
        subscriptions.push(stream);
        return stream.exchange;
      })
      .on("SendMessage", () => resultOf({ task: taskOf("T", "WORKING") }));
    instance = await startInstance(cluster, agent);
    bodyOf(await instance.call("SendMessage", sendOf({}, { returnImmediately: true })));
    // Half a minute without an event: the run does not hold the queue any more.
    await waitFor(() => cluster.store.released.length > 0, { message: "the queue is still held" });
    const second = instance.call("SendMessage", sendOf({ taskId: "T" }));
    await waitFor(() => agent.got("SendMessage").length === 2, { message: "the follow-up does not get to the agent" });
    for (const open of subscriptions)
      if (!open.closed) open.send(artifactOf("T", "A", "once"), statusOf("T", "COMPLETED"));
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "completed", { message: "not completed" });
    await second;
    const events = await cluster.store.readEvents("T", 0, 100, 1_000_000);
    expect(events.filter((event) => event.kind === "artifact")).toHaveLength(1);
    await waitFor(() => instance.taker.busy === 0, { message: "the first run goes on" });
  });

  test("a cancel that the agent has answered also ends the reading of a stream that the agent leaves open", async () => {
    const cluster = new FlowCluster();
    const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    const agent = new ScriptedAgent()
      .on("SendStreamingMessage", () => stream.exchange)
      .on("CancelTask", () => resultOf(taskOf("T", "CANCELED")));
    instance = await startInstance(cluster, agent);
    await instance.call("SendStreamingMessage", sendOf());
    const answer = bodyOf(await instance.call("CancelTask", { id: "T" }));
    expect(answer.result).toMatchObject({ status: { state: "TASK_STATE_CANCELED" } });
    await waitFor(() => instance.taker.busy === 0, { message: "the canceled run is still read" });
    expect(stream.closed).toBe(true);
  });
});
