/** Work that this instance takes over, or cannot go on with. */
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import type { AgentExchange } from "../../src/ports/agent.ts";
import type { ClaimedTask, ClaimedWork } from "../../src/ports/recovery-store.ts";
import { StoreError, type TurnRow } from "../../src/ports/task-store.ts";
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
  brokenExchange,
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

  test("P4: an instance that may not take anything is still told what an earlier claim of its has taken", async () => {
    const cluster = new FlowCluster();
    instance = await startInstance(cluster, new ScriptedAgent());
    const limits: number[] = [];
    const work: ClaimedWork = { turns: [], tasks: [] };
    cluster.store.claimWork = async ({ limit }) => {
      limits.push(limit);
      return work;
    };
    const told: ClaimedWork[] = [];
    const turn = { id: "T" } as TurnRow;
    work.turns.push({ turn, before: "dispatched", samePod: false });
    const watcher = new PeerWatcher(instance.context, {
      mayClaim: () => false,
      onClaimed: (claimed) => told.push(claimed),
      onOrphansFailed: () => {},
    });
    watcher.start();
    await waitFor(() => told.length > 0, { message: "nothing is given out" });
    await watcher.stop();
    expect(new Set(limits)).toEqual(new Set([0]));
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

describe("a message that kills every agent it gets to", () => {
  test.each([
    ["before its task is known", () => brokenExchange],
    ["at work", () => new ScriptedStream().send({ task: taskOf("T", "WORKING") }).end("broken").exchange],
  ])(
    "P4: %s is started as often as allowed, on however many instances, then its task has failed",
    async (_, answer) => {
      const cluster = new FlowCluster(fastClock(200));
      let starts = 0;
      const pods = await Promise.all(
        [0, 1].map(async () => {
          const agent: ScriptedAgent = new ScriptedAgent().on("SendStreamingMessage", () => {
            starts += 1;
            agent.listening = false;
            return answer();
          });
          return { agent, flow: await startInstance(cluster, agent) };
        }),
      );
      const sent = pods[0]?.flow.call("SendStreamingMessage", sendOf());
      void sent?.then((outcome) => (outcome.kind === "events" ? eventsOf(outcome) : null)).catch(() => null);
      const ended = () => cluster.store.turns.every(({ state }) => state === "done" || state === "failed");
      await waitFor(() => cluster.store.turns.length > 0, { message: "nothing is journaled" });
      for (let n = 1; !ended(); n += 1) {
        const { agent, flow } = pods[n % 2] ?? raise("no pod");
        agent.listening = true;
        const { instanceId: self } = flow.context.settings;
        const request = { self, selfPodUid: self, from: [], predecessors: [], limit: 1 };
        await waitFor(
          async () => {
            const work = await cluster.store.claimWork(request);
            flow.taker.recover(work);
            return work.turns.length + work.tasks.length > 0 || ended();
          },
          { message: "the work is not given up" },
        );
      }
      expect(starts).toBe(3);
      const [task] = cluster.store.tasks;
      expect(task).toMatchObject({ state: "failed" });
      for (const { flow } of pods) await flow.stop();
      instance = pods[0]?.flow ?? raise("no pod");
    },
  );
});

describe("a lone instance", () => {
  test("P4: whose agent does not come back for as long as the attempts left could take fails the task", async () => {
    const cluster = new FlowCluster(fastClock(20_000));
    const first = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    const agent = new ScriptedAgent().on("SendStreamingMessage", () => first.exchange);
    instance = await startInstance(cluster, agent);
    const reader = eventsOf(await instance.call("SendStreamingMessage", sendOf()));
    await waitFor(() => cluster.store.readTask("T"), { message: "no task" });
    agent.listening = false;
    first.end("broken");
    await reader;
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "failed" });
    expect((await cluster.store.readEvents("T", 1, 10, 10_000)).at(-1)?.payload).toContain("agent's process ended");
  });
});

describe("a claimed task", () => {
  /** A working task "T" that its owner has given up. */
  async function givenUp(agent: ScriptedAgent): Promise<{ cluster: FlowCluster; claim: () => Promise<ClaimedTask> }> {
    const cluster = new FlowCluster();
    const first = new ScriptedStream().send({ task: taskOf("T", "WORKING") });
    agent.on("SendStreamingMessage", () => first.exchange);
    instance = await startInstance(cluster, agent);
    await instance.call("SendStreamingMessage", sendOf());
    const self = instance.context.settings.instanceId;
    await cluster.store.releaseWork(self);
    return {
      cluster,
      claim: async () =>
        (await cluster.store.claimTask("T", { self, selfPodUid: "another pod" })) ?? raise("it cannot be claimed"),
    };
  }

  test("P4: whose client has canceled it is not started again", async () => {
    const agent = new ScriptedAgent();
    const { cluster, claim } = await givenUp(agent);
    await cluster.store.requestCancel("T", null);
    instance.taker.recoverTask(await claim());
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "canceled", { message: "not canceled" });
    await waitFor(() => instance.taker.busy === 0, { message: "it is gone on with" });
    expect(agent.got("SendStreamingMessage")).toHaveLength(1);
    expect(cluster.store.turns).toMatchObject([{ state: "done" }]);
  });

  test("I5: is not run beside a taking of its turn whose reply was lost", async () => {
    const agent = new ScriptedAgent();
    const { cluster, claim } = await givenUp(agent);
    const answer = Promise.withResolvers<AgentExchange>();
    agent.on("SendStreamingMessage", () => answer.promise);
    const takeTurn = cluster.store.takeTurn.bind(cluster.store);
    let taking = 0;
    cluster.store.takeTurn = (...args) => {
      taking += 1;
      return taking === 1 ? Promise.reject(new StoreError("unknown-outcome", "scripted")) : takeTurn(...args);
    };
    const claimed = await claim();
    const turnId = claimed.turn?.turn.id ?? raise("no turn");
    const readTurn = cluster.store.readTurn.bind(cluster.store);
    // As a follow-up that was claimed before an agent had it.
    cluster.store.readTurn = async (id) => {
      const row = await readTurn(id);
      return row && { ...row, state: "dispatched" };
    };
    instance.taker.recoverTask(claimed);
    await waitFor(() => agent.got("SendStreamingMessage").length === 2, { message: "the claimed turn is not run" });
    instance.taker.startTurn(turnId);
    await waitFor(() => taking > 0, { message: "it is not taken" });
    answer.resolve(resultOf({ task: taskOf("T2", "COMPLETED") }));
    await waitFor(() => instance.taker.busy === 0, { message: "it does not end" });
    expect(agent.got("SendStreamingMessage")).toHaveLength(2);
  });
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
    const { cluster, agent } = await attemptAnswered(errorOf(-32602, "unknown contextId"), resultOf({ task: again }));
    expect(agent.got("SendStreamingMessage").map(({ params }) => contextIn(params))).toEqual([
      undefined,
      "C",
      undefined,
    ]);
    expect(await cluster.store.readTask("T")).toMatchObject({ state: "completed", contextId: "C" });
  });

  test.each([-32602, -32603])(
    "I5: that an agent answers with %i, maybe after a run, is not given to it a second time",
    async (code) => {
      const { cluster, agent } = await attemptAnswered(errorOf(code, "Execution finished before a task was produced"));
      expect(agent.got("SendStreamingMessage")).toHaveLength(2);
      expect(await cluster.store.readTask("T")).toMatchObject({ state: "failed" });
    },
  );

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

function raise(what: string): never {
  throw new Error(what);
}
