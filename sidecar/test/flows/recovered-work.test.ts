/** Work that this instance takes over, or cannot go on with. */
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import type { AgentExchange } from "../../src/ports/agent.ts";
import { AgentPresence } from "../../src/flows/agent-presence.ts";
import { PeerWatcher } from "../../src/flows/watch-peers.ts";
import {
  bodyOf,
  eventsOf,
  FlowCluster,
  type FlowInstance,
  fastClock,
  sendOf,
  startInstance,
} from "../support/flow-instance.ts";
import {
  artifactOf,
  errorOf,
  replyOf,
  resultOf,
  ScriptedAgent,
  ScriptedStream,
  statusOf,
  taskOf,
} from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

describe("the agent of a pod whose sidecar was started anew", () => {
  /** An input-required task "T", and a sidecar that has handed a follow-up on to its agent, or was about to. */
  async function restartedWith(agent: ScriptedAgent, handed: { history: unknown[] }) {
    const cluster = new FlowCluster();
    agent.on("SendMessage", () => resultOf({ task: taskOf("T", "INPUT_REQUIRED") }));
    const former = await startInstance(cluster, agent);
    await former.call("SendMessage", sendOf());
    await former.stop();
    agent
      .on("GetTask", () => resultOf(taskOf("T", "INPUT_REQUIRED", handed)))
      .on("SubscribeToTask", () => errorOf(-32001))
      .on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }));
    const [turn] = cluster.store.turns;
    if (turn === undefined) throw new Error("no turn");
    const podUid = former.context.podUid;
    const params = { message: { messageId: "follow-up", taskId: "T", role: "ROLE_USER", parts: [{ text: "more" }] } };
    await cluster.store.journal({
      ...turn,
      id: randomUUID(),
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "SendMessage", params }),
      headers: Buffer.from("{}"),
      taskId: "T",
      self: turn.instance,
      dedupeKey: null,
    });
    instance = await startInstance(cluster, agent, { podUid });
    await cluster.store.registerInstance({ id: instance.context.settings.instanceId, podName: "", podUid }, 60_000);
    const claimed = await cluster.store.claimTask("T", {
      self: instance.context.settings.instanceId,
      selfPodUid: podUid,
    });
    if (claimed?.turn?.before !== "dispatched") throw new Error("the follow-up is not taken over as dispatched");
    instance.taker.recoverTask(claimed);
    await waitFor(() => cluster.store.turns.every((row) => row.state === "done"), { message: "the turn does not end" });
    return cluster;
  }

  test("P4: gets a follow-up that the former sidecar had not handed on yet, as a message to the task it has", async () => {
    const agent = new ScriptedAgent();
    const cluster = await restartedWith(agent, { history: [] });
    expect(agent.got("SendMessage").at(-1)?.params).toMatchObject({ message: { messageId: "follow-up", taskId: "T" } });
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "completed" });
  });

  test("does not get a follow-up twice that its history has", async () => {
    const agent = new ScriptedAgent();
    await restartedWith(agent, { history: [{ messageId: "follow-up", role: "ROLE_USER", parts: [{ text: "more" }] }] });
    expect(agent.got("SendMessage")).toHaveLength(1);
  });
});

describe("work that cannot be gone on with", () => {
  test("P4: a claimed task whose headers no key opens any more ends as failed", async () => {
    const cluster = new FlowCluster();
    const stream = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    const agent = new ScriptedAgent().on("SendStreamingMessage", () => stream.exchange);
    const former = await startInstance(cluster, agent);
    await former.call("SendStreamingMessage", sendOf());
    await cluster.store.releaseWork(former.context.settings.instanceId);
    await former.stop();
    const open = () => {
      throw new Error("no key opens it");
    };
    instance = await startInstance(cluster, agent, { seal: { seal: (text) => Buffer.from(text), open } });
    const self = instance.context.settings.instanceId;
    const claimed = await cluster.store.claimTask("T", { self, selfPodUid: self });
    if (claimed === null) throw new Error("the task cannot be claimed");
    instance.taker.recoverTask(claimed);
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "failed", { message: "it goes on" });
    expect(cluster.store.turns).toMatchObject([{ state: "done" }]);
  });

  test("a stream that ends cleanly without an event is no lost run: its executor is started once", async () => {
    const agent = new ScriptedAgent().on("SendStreamingMessage", () => new ScriptedStream().end().exchange);
    instance = await startInstance(new FlowCluster(), agent);
    expect(bodyOf(await instance.call("SendStreamingMessage", sendOf())).error).toMatchObject({ code: -32006 });
    expect(agent.got("SendStreamingMessage")).toHaveLength(1);
  });
});

describe("taking over", () => {
  test("P4: an instance whose agent was away takes work again once the agent answers, though nobody asks it", async () => {
    const agent = new ScriptedAgent();
    agent.listening = false;
    const presence = new AgentPresence();
    instance = await startInstance(new FlowCluster(fastClock(100)), agent, { presence });
    expect(await presence.untilListening(instance.context, 1_000)).toBe(false);
    expect(presence.listening).toBe(false);
    agent.listening = true;
    await waitFor(() => presence.listening, { message: "the agent is never asked again" });
  });

  test.each([
    ["may not take anything", false, false],
    ["cannot read the leases", true, true],
  ])(
    "P8: an instance that %s does not ask the record without a pause for released work",
    async (_, mayClaim, fails) => {
      const cluster = new FlowCluster();
      let reads = 0;
      const readPulses = cluster.store.readPulses.bind(cluster.store);
      cluster.store.readPulses = () => {
        reads += 1;
        return fails ? Promise.reject(new Error("scripted")) : readPulses();
      };
      instance = await startInstance(cluster, new ScriptedAgent());
      const { relay, clock } = instance.context;
      const watcher = new PeerWatcher(instance.context, {
        mayClaim: () => mayClaim,
        onClaimed: () => {},
        onOrphansFailed: () => {},
      });
      watcher.start();
      await waitFor(() => reads > 0, { message: "nobody reads" });
      relay.publishClaimable();
      await waitFor(() => reads > 1, { message: "nobody hears of released work" });
      const before = reads;
      await clock.sleep(450);
      await watcher.stop();
      expect(reads - before).toBeLessThanOrEqual(4);
    },
  );
});

describe("a further attempt", () => {
  /** A task "T" whose agent has forgotten it, and what the agent answers when it gets the message again. */
  async function attemptAnswered(...answers: AgentExchange[]): Promise<{ cluster: FlowCluster; agent: ScriptedAgent }> {
    const cluster = new FlowCluster();
    const first = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    const agent = new ScriptedAgent().on("SendStreamingMessage", () => first.exchange);
    instance = await startInstance(cluster, agent);
    const reader = eventsOf(await instance.call("SendStreamingMessage", sendOf()));
    await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
    agent.on("SendStreamingMessage", () => answers.shift() ?? errorOf(-32603)).on("GetTask", () => errorOf(-32001));
    first.end();
    await reader;
    return { cluster, agent };
  }

  test.each([401, 403])(
    "P4: that is answered with %i ends the task as failed: the credentials have run out",
    async (status) => {
      const { cluster, agent } = await attemptAnswered(replyOf("Unauthorized", status, "text/plain"));
      expect(await cluster.store.readTask("T")).toMatchObject({ state: "failed" });
      expect((await cluster.store.readEvents("T", 1, 10, 10_000)).at(-1)?.payload).toContain("credentials");
      expect(agent.got("SendStreamingMessage")).toHaveLength(2);
    },
  );

  test("goes without its context, once, to an agent that makes its own", async () => {
    const again = { ...taskOf("T2", "COMPLETED"), contextId: "its own" };
    const { cluster, agent } = await attemptAnswered(errorOf(-32602), resultOf({ task: again }));
    expect(agent.got("SendStreamingMessage").map(({ params }) => contextIn(params))).toEqual([
      undefined,
      "C",
      undefined,
    ]);
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "completed", contextId: "C" });
  });

  test("I5: that an agent answers with a fault of its own is not given to it a second time", async () => {
    const { cluster, agent } = await attemptAnswered(errorOf(-32603));
    expect(agent.got("SendStreamingMessage")).toHaveLength(2);
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "failed" });
  });

  test("its ids at the agent reach the record, also where its first events share a commit", async () => {
    const cluster = new FlowCluster();
    const agent = new ScriptedAgent();
    const first = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    agent.on("SendStreamingMessage", () => first.exchange);
    instance = await startInstance(cluster, agent);
    const reader = eventsOf(await instance.call("SendStreamingMessage", sendOf()));
    const second = new ScriptedStream().send(
      { task: taskOf("T2", "WORKING") },
      artifactOf("T2", "A", "x"),
      artifactOf("T2", "A", "y", true),
    );
    agent.on("SendStreamingMessage", () => second.exchange).on("GetTask", () => errorOf(-32001));
    await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
    first.end();
    await waitFor(async () => (await cluster.store.readTask("T"))?.generation === 5, { message: "no second attempt" });
    expect(await cluster.store.readTask("T")).toMatchObject({ agentTaskId: "T2", attempt: 2 });
    second.send(statusOf("T2", "COMPLETED")).end();
    await reader;
  });
});

function contextIn(params: Record<string, unknown>): unknown {
  return (params["message"] as Record<string, unknown>)["contextId"];
}
