/** What a client that goes away leaves behind on the instance it was connected to: nothing. */
import { afterEach, describe, expect, test } from "vitest";
import { FlowCluster, type FlowInstance, sendOf, startInstance, eventsOf } from "../support/flow-instance.ts";
import { resultOf, ScriptedAgent, ScriptedStream, statusOf, taskOf } from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

/** Counts reads of a task and what asks for its turns. */
function counted(cluster: FlowCluster) {
  const counts = { reads: 0 };
  const readTask = cluster.store.readTask.bind(cluster.store);
  cluster.store.readTask = (taskId) => {
    counts.reads += 1;
    return readTask(taskId);
  };
  return counts;
}

describe("a client that goes away", () => {
  test("leaves no watch behind when it goes before the first event of its stream", async () => {
    const cluster = new FlowCluster();
    const stream = new ScriptedStream();
    instance = await startInstance(
      cluster,
      new ScriptedAgent().on("SendStreamingMessage", () => stream.exchange),
    );
    const gone = new AbortController();
    const pending = instance.call("SendStreamingMessage", sendOf(), { signal: gone.signal });
    await waitFor(() => instance.context.agent instanceof ScriptedAgent && instance.taker.busy > 0, {
      message: "not run",
    });
    gone.abort();
    const answer = await pending;
    // The server does not begin to read an answer whose client is gone.
    if (answer.kind === "events") await answer.events[Symbol.asyncIterator]().return?.();
    expect(instance.context.board.size).toBe(0);
    stream.send({ task: taskOf("T", "COMPLETED") }).end();
    await waitFor(() => instance.taker.busy === 0, { message: "the turn does not end" });
  });

  test("leaves no feed behind when it goes while its subscription is opened", async () => {
    const cluster = new FlowCluster();
    const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    instance = await startInstance(
      cluster,
      new ScriptedAgent().on("SendStreamingMessage", () => stream.exchange),
    );
    const reader = eventsOf(await instance.call("SendStreamingMessage", sendOf()));
    await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
    const before = instance.context.feeds.size;
    const gone = new AbortController();
    gone.abort();
    const answer = await instance.call("SubscribeToTask", { id: "T" }, { signal: gone.signal });
    if (answer.kind === "events") await answer.events[Symbol.asyncIterator]().return?.();
    expect(instance.context.feeds.size).toBe(before);
    stream.send(statusOf("T", "COMPLETED")).end();
    await reader;
  });

  test("leaves nobody asking for its queued message once that has run", async () => {
    const cluster = new FlowCluster();
    const counts = counted(cluster);
    const [first, second] = [new ScriptedStream(), new ScriptedStream()];
    first.send({ task: taskOf("T", "WORKING") });
    const agent = new ScriptedAgent()
      .on("SendStreamingMessage", () => first.exchange)
      .on("SubscribeToTask", () => second.send({ task: taskOf("T", "INPUT_REQUIRED") }).exchange)
      .on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }));
    instance = await startInstance(cluster, agent);
    const reader = eventsOf(await instance.call("SendStreamingMessage", sendOf()));
    await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
    const gone = new AbortController();
    const queued = instance.call("SendStreamingMessage", sendOf({ taskId: "T" }), { signal: gone.signal });
    await waitFor(() => counts.reads > 3, { message: "nobody asks for the queued message" });
    gone.abort();
    await queued;
    first.send(statusOf("T", "INPUT_REQUIRED")).end();
    await reader;
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "completed", { message: "not run" });
    await waitFor(() => instance.context.board.size === 0, { message: "somebody still watches the turn" });
  });
});
