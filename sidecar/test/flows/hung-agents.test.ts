/** Agents that accept a connection and never answer: a deadlock, or a process that is paused. */
import { afterEach, describe, expect, test } from "vitest";
import type { AgentExchange, AgentRequest } from "../../src/ports/agent.ts";
import { AgentPresence } from "../../src/flows/agent-presence.ts";
import { FlowCluster, type FlowInstance, fastClock, sendOf, startInstance } from "../support/flow-instance.ts";
import { errorOf, ScriptedAgent, ScriptedStream, statusOf, taskOf } from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

/** Answers no look at its card while it hangs. */
class HangingAgent extends ScriptedAgent {
  hangs = false;
  looks = 0;

  override exchange(request: AgentRequest, { signal }: { signal?: AbortSignal } = {}): Promise<AgentExchange> {
    this.looks += request.body === null ? 1 : 0;
    if (!this.hangs || request.body !== null) return super.exchange(request);
    const { promise, resolve } = Promise.withResolvers<AgentExchange>();
    signal?.addEventListener("abort", () => resolve({ kind: "failed", end: "broken", cause: null }));
    return promise;
  }
}

describe("an agent that accepts and never answers", () => {
  test("P4: gives the work it has lost to another instance, where there is one", async () => {
    const cluster = new FlowCluster(fastClock(100));
    const agent = new HangingAgent();
    const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    agent.on("SendStreamingMessage", () => stream.exchange);
    instance = await startInstance(cluster, agent);
    await cluster.store.registerInstance({ id: "other", podName: "", podUid: "other" }, 60_000_000);
    await instance.call("SendStreamingMessage", sendOf());
    await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
    agent.on("GetTask", () => errorOf(-32001)).hangs = true;
    stream.end("broken");
    await waitFor(async () => (await cluster.store.readTask("T"))?.owner === "", { message: "it keeps the work" });
    expect(instance.context.presence.listening).toBe(false);
    expect(cluster.store.turns).toMatchObject([{ instance: "", handovers: 0 }]);
  });

  test("keeps the run whose stream it has not closed", async () => {
    const cluster = new FlowCluster(fastClock(100));
    const agent = new HangingAgent();
    const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    agent.on("SendStreamingMessage", () => stream.exchange);
    const presence = new AgentPresence();
    instance = await startInstance(cluster, agent, { presence });
    await instance.call("SendStreamingMessage", sendOf());
    await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
    agent.hangs = true;
    expect(await presence.untilListening(instance.context, 10_000)).toBe(false);
    agent.hangs = false;
    stream.send(statusOf("T", "COMPLETED")).end();
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "completed", { message: "not completed" });
    expect(agent.got("SendStreamingMessage")).toHaveLength(1);
    await waitFor(() => presence.listening, { message: "it takes no work any more" });
  });

  test("does not count as restarted when it answers again: a drain is not undone for it", async () => {
    const cluster = new FlowCluster(fastClock(100));
    const agent = new HangingAgent();
    instance = await startInstance(cluster, agent);
    const { context, drain } = instance;
    const stop = new AbortController();
    await drain.begin(context);
    const undone = drain.undoWhenAgentReturns(context, stop.signal);
    agent.hangs = true;
    await waitFor(() => !context.presence.listening, { message: "nobody has noticed" });
    agent.hangs = false;
    const before = agent.looks;
    await waitFor(() => agent.looks > before + 2 && context.presence.listening, { message: "nobody looks" });
    stop.abort();
    await undone;
    expect(context.lifetime.draining).toBe(true);
  });
});
