/** P8: what arrives while an instance hands its work over, or after that, is handed over too. */
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  eventsOf,
  fastClock,
  FlowCluster,
  type FlowInstance,
  sendOf,
  startInstance,
} from "../support/flow-instance.ts";
import { resultOf, ScriptedAgent, ScriptedStream, statusOf, taskOf } from "../support/scripted-agent.ts";
import { StoreError } from "../../src/ports/task-store.ts";
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
    if (turn === undefined || !(await store.releaseTurn(turn.id, { instance: self, epoch: 2 }, "handed-over")))
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

test("P8: a message that took until after the drain to be journaled is not begun, and counts nothing", async () => {
  const cluster = new FlowCluster();
  const { store } = cluster;
  const held = Promise.withResolvers<void>();
  const agent = new ScriptedAgent();
  instance = await startInstance(cluster, agent);
  const journal = store.journal.bind(store);
  store.journal = (turn) => held.promise.then(() => journal(turn));
  const call = instance.call("SendMessage", sendOf());
  await instance.drain.begin(instance.context);
  held.resolve();
  await waitFor(() => store.turns[0]?.instance === "", { message: "it keeps the message" });
  expect(store.turns).toMatchObject([{ state: "journaled", attempt: 1, handovers: 0 }]);
  const agentOfOther = new ScriptedAgent().on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }));
  const other = await startInstance(cluster, agentOfOther);
  const self = other.context.settings.instanceId;
  other.taker.recover(await store.claimWork({ self, selfPodUid: self, from: [], predecessors: [], limit: 9 }));
  expect(await call).toMatchObject({ status: 200 });
  await other.stop();
  expect([agent.got("SendMessage"), agentOfOther.got("SendMessage")]).toMatchObject([{ length: 0 }, { length: 1 }]);
});

test("P8: what a claim brings after the drain is handed over", async () => {
  const cluster = new FlowCluster();
  const { store } = cluster;
  const agent = new ScriptedAgent();
  instance = await startInstance(cluster, agent);
  const self = instance.context.settings.instanceId;
  const other = await startInstance(
    cluster,
    new ScriptedAgent().on("SendMessage", () => new Promise(() => {})),
  );
  void other.call("SendMessage", sendOf()).catch(() => {});
  await waitFor(() => store.turns.length === 1, { message: "nothing is journaled" });
  await instance.drain.begin(instance.context);
  await store.releaseWork(other.context.settings.instanceId);
  const claimed = await store.claimWork({ self, selfPodUid: self, from: [], predecessors: [], limit: 9 });
  expect(claimed.turns).toHaveLength(1);
  instance.taker.recover(claimed);
  await waitFor(() => store.turns[0]?.instance === "", { message: "it keeps what it has claimed" });
  expect(agent.got("SendMessage")).toHaveLength(0);
  await other.stop();
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

test("P8: what a store that did not answer at the end of the drain still has is handed over once it answers", async () => {
  const cluster = new FlowCluster(fastClock(10));
  const { store } = cluster;
  const agent = new ScriptedAgent().on("SendMessage", () => new Promise(() => {}));
  instance = await startInstance(cluster, agent);
  void instance.call("SendMessage", sendOf());
  await waitFor(() => agent.got("SendMessage").length > 0, { message: "the agent has no message" });
  const releaseWork = store.releaseWork.bind(store);
  store.releaseWork = () => Promise.reject(new StoreError("unavailable", "scripted"));
  await instance.drain.begin(instance.context);
  expect(store.turns).toMatchObject([{ state: "dispatched", instance: instance.context.settings.instanceId }]);
  store.releaseWork = releaseWork;
  await waitFor(() => store.turns[0]?.instance === "", { message: "it keeps the message" });
  expect(store.turns).toMatchObject([{ attempt: 1, handovers: 1 }]);
});

describe("P8: a message that the instance it was given to does not take", () => {
  const SLOW = "slow";
  const agent = () => new ScriptedAgent().on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }));

  /** A draining instance with much of its grace left has given a message to one that is alive and takes nothing. */
  async function given(cluster: FlowCluster, here: ScriptedAgent): Promise<void> {
    instance = await startInstance(cluster, here, { graceMs: 600_000 });
    await cluster.store.registerInstance({ id: SLOW, podName: "", podUid: SLOW }, 60_000_000);
    void instance.drain.begin(instance.context);
    void instance.call("SendMessage", sendOf());
    await waitFor(() => cluster.store.turns[0]?.instance === SLOW, { message: "it is not given away" });
  }

  test("is anybody's after a while, not the draining one's", async () => {
    const cluster = new FlowCluster(fastClock(10));
    const here = agent();
    await given(cluster, here);
    await waitFor(() => cluster.store.turns[0]?.instance === "", { message: "nobody may claim it" });
    expect(cluster.store.turns).toMatchObject([{ state: "journaled", attempt: 1, handovers: 0 }]);
    expect(here.got("SendMessage")).toEqual([]);
  });

  test("is run by the draining one where it is alone by then", async () => {
    const cluster = new FlowCluster(fastClock(10));
    const here = agent();
    await given(cluster, here);
    await cluster.store.removeInstance(SLOW);
    await waitFor(() => here.got("SendMessage").length > 0, { message: "nobody runs it" });
  });
});

describe("P8: a call is told to come again", () => {
  const refusal = (text: string) => {
    const body = expect.stringContaining(text);
    return { kind: "json", status: 503, headers: expect.objectContaining({ "retry-after": "1" }), body };
  };

  test("when its instance is drained and no other one is there", async () => {
    const cluster = new FlowCluster();
    instance = await startInstance(cluster, new ScriptedAgent());
    await instance.drain.begin(instance.context);
    expect(await instance.call("SendMessage", sendOf())).toMatchObject(refusal("No instance is there"));
    expect(cluster.store.turns).toEqual([]);
  });

  test("when it still waits and the process must end", async () => {
    const cluster = new FlowCluster();
    const agent = new ScriptedAgent().on("SendMessage", () => new Promise(() => {}));
    instance = await startInstance(cluster, agent);
    const call = instance.call("SendMessage", sendOf());
    await waitFor(() => agent.got("SendMessage").length > 0, { message: "the agent has no message" });
    instance.drain.exit();
    expect(await call).toMatchObject(refusal("This instance ends"));
  });

  test("when its task is at work and the process must end", async () => {
    const cluster = new FlowCluster();
    const source = new ScriptedStream();
    const agent = new ScriptedAgent()
      .on("SendMessage", () => resultOf({ task: taskOf("T", "WORKING") }))
      .on("SubscribeToTask", () => source.send({ task: taskOf("T", "WORKING") }).exchange);
    instance = await startInstance(cluster, agent);
    const call = instance.call("SendMessage", sendOf());
    await waitFor(() => agent.got("SubscribeToTask").length > 0, { message: "the run is not followed" });
    instance.drain.exit();
    expect(await call).toMatchObject(refusal("This instance ends"));
    source.end();
  });
});

test("listens for a while however short the grace", async () => {
  const clock = fastClock(10);
  instance = await startInstance(new FlowCluster(clock), new ScriptedAgent(), { graceMs: 1 });
  const begunMs = clock.monotonicMs();
  await instance.drain.begin(instance.context);
  expect(clock.monotonicMs() - begunMs).toBeGreaterThan(2_900);
});

describe("P8: a stream at a drained instance, of work at another one,", () => {
  const GRACE_MS = 60_000;
  const QUIET_MS = 3_000;
  const clock = fastClock(10);
  let cluster: FlowCluster;
  let source: ScriptedStream;
  let other: FlowInstance;

  beforeEach(async () => {
    cluster = new FlowCluster(clock);
    source = new ScriptedStream();
    const agent = new ScriptedAgent().on(
      "SendStreamingMessage",
      () => source.send({ task: taskOf("T", "WORKING") }).exchange,
    );
    other = await startInstance(cluster, agent);
    instance = await startInstance(cluster, new ScriptedAgent(), { graceMs: GRACE_MS });
    await other.call("SendStreamingMessage", sendOf());
    await waitFor(() => cluster.store.readTask("T"), { message: "no task T" });
  });
  afterEach(() => other.stop());

  const follow = async () => eventsOf(await instance.call("SubscribeToTask", { id: "T" }));

  async function passed(ms: number): Promise<void> {
    const fromMs = clock.monotonicMs();
    await waitFor(() => clock.monotonicMs() - fromMs > ms, { message: "time stands still" });
  }

  function watchEnd(drained: Promise<void>): { over: boolean } {
    const seen = { over: false };
    void drained.then(() => (seen.over = true));
    return seen;
  }

  test("goes on to the end of the work, within the grace", async () => {
    const followed = follow();
    const drain = watchEnd(instance.drain.begin(instance.context));
    await passed(QUIET_MS + 1_000);
    expect(drain.over).toBe(false);
    source.send(statusOf("T", "COMPLETED")).end();
    expect((await followed).map(({ id }) => id)).toEqual(["1", "2"]);
    await waitFor(() => drain.over, { message: "the drain waits on" });
  });

  test("does so when it began after the drain and the process is told to end", async () => {
    await instance.drain.begin(instance.context);
    const followed = follow();
    await passed(100);
    const drain = watchEnd(instance.drain.begin(instance.context));
    await passed(QUIET_MS);
    expect(drain.over).toBe(false);
    source.send(statusOf("T", "COMPLETED")).end();
    expect((await followed).map(({ id }) => id)).toEqual(["1", "2"]);
    await waitFor(() => drain.over, { message: "the drain waits on" });
  });

  test("ends with the grace, after a recorded event", async () => {
    const followed = follow();
    await instance.drain.begin(instance.context);
    expect((await followed).map(({ id }) => id)).toEqual(["1"]);
    source.end();
  });

  test("is closed at the end of the grace while the instance listens on", async () => {
    await instance.stop();
    instance = await startInstance(cluster, new ScriptedAgent(), { graceMs: 100 });
    const followed = follow();
    const drain = watchEnd(instance.drain.begin(instance.context));
    expect((await followed).map(({ id }) => id)).toEqual(["1"]);
    expect(drain.over).toBe(false);
    await waitFor(() => drain.over, { message: "the drain goes on" });
    source.end();
  });

  test("does not hold a drain while its task waits for input", async () => {
    source.send(statusOf("T", "INPUT_REQUIRED")).end();
    await waitFor(async () => (await cluster.store.readTask("T"))?.state === "input-required", { message: "at work" });
    const followed = follow();
    const begunMs = clock.monotonicMs();
    await instance.drain.begin(instance.context);
    expect(clock.monotonicMs() - begunMs).toBeLessThan(GRACE_MS / 2);
    expect((await followed).map(({ id }) => id)).toEqual(["2"]);
  });
});
