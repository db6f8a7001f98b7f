/** P8: a planned end loses nothing and waits for nothing. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import type { CallOutcome, StreamOutcome } from "./support/persistent-client.ts";
import { foldedText, taskIdIn, taskIdOf } from "./support/persistent-client.ts";
import type { Pod } from "./support/pods.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import { JS_03, JS_1 } from "./support/subject.ts";

const GRACE_MS = 1_000;
/**
 * From the end of the grace to the first word of the instance that goes on, at most. Far above what is measured and
 * printed, so that a busy machine fails nothing.
 */
const HAND_OVER_MS = 10_000;
/** Beyond the 3 s for which a drain listens in any case, within the 6 s in which calls are still taken after it. */
const SENT_AFTER_TERM_MS = 5_500;
/** How long a container takes to come back; the sidecar looks at the agent's port twice a second. */
const AGENT_AWAY_MS = 1_100;
const TOKEN = "drain-token-of-the-tests";

function countedTo(last: number): string {
  return Array.from({ length: last }, (_, n) => `${n + 1} `).join("");
}

describe.each([JS_1, JS_03])("an instance beside a $name agent drains", (subject) => {
  let stage: Stage;
  const handOverMs: number[] = [];

  beforeAll(async () => {
    // A lease so long that nothing below can have waited for it.
    const env = { DRAIN_GRACE_MS: String(GRACE_MS), DRAIN_TOKEN: TOKEN };
    stage = await openStage({ subject, leaseMs: 20_000, env });
  });
  afterEach(() => stage.settle());
  afterAll(async () => {
    console.log(
      `${subject.name}: handed over ${handOverMs.map(Math.round).join(", ")} ms after the grace of ${GRACE_MS} ms`,
    );
    await stage.close();
  });

  function pod(n: number): Pod {
    const found = stage.fleet.pods[n];
    if (found === undefined) throw new Error(`there is no pod ${n}`);
    return found;
  }

  async function turnOf(messageId: string): Promise<{ attempt: number; handovers: number }> {
    const { rows } = await stage.pool.query(
      "select attempt, handovers from turn where agent = $1 and body like '%' || $2 || '%'",
      [stage.fleet.agentKey, messageId],
    );
    return rows[0];
  }

  // A stall of the machine may make one hand-over late, not three.
  test("P3, P8: a long turn goes on elsewhere at once, and its readers see one history", { retry: 2 }, async () => {
    const messageId = randomUUID();
    let follower: Promise<StreamOutcome> | null = null;
    let termAtMs = 0;
    let ended = Promise.resolve();
    const sender = await stage.client("sender").stream("count 60 every 40ms", {
      messageId,
      onEvent: (event) => {
        if (event.generation === 3) follower = stage.client("follower").follow(taskIdOf(event), { pod: 2 });
        if (event.generation !== 6) return;
        termAtMs = performance.now();
        ended = pod(0).terminate();
      },
    });
    const followed = await (follower as Promise<StreamOutcome> | null);
    // The process lives on after its work has gone elsewhere; what comes next needs another one in its place.
    await ended;
    expect(sender.state).toBe("completed");
    expect(foldedText(sender.events)).toBe(countedTo(60));
    expect(foldedText(followed?.events ?? [])).toBe(countedTo(60));
    const restart = sender.events.find((event) => event.result.includes("The work was restarted"));
    const late = (restart?.atMs ?? Number.POSITIVE_INFINITY) - termAtMs - GRACE_MS;
    handOverMs.push(late);
    expect(late).toBeLessThan(HAND_OVER_MS);
    expect(await turnOf(messageId)).toEqual({ attempt: 2, handovers: 1 });
    expect(await stage.startsOf(messageId)).toBe(2);
  });

  test("P8: turns shorter than the grace finish where they run, streams and calls alike", async () => {
    const ids = [randomUUID(), randomUUID()] as const;
    const stream = stage.client("sender").stream("count 10 every 40ms", { messageId: ids[0] });
    const call = stage.client("caller").send("slow 400", { messageId: ids[1] });
    await Promise.all(ids.map((id) => stage.started(id)));
    await pod(0).terminate();
    const outcome = await stream;
    expect(foldedText(outcome.events)).toBe(countedTo(10));
    expect(outcome.connections).toBe(1);
    expect(await call).toMatchObject({ status: 200, tries: 1 });
    for (const id of ids) expect(await stage.startsOf(id)).toBe(1);
  });

  test("P8: unready at once, and no request is refused while it still listens", async () => {
    await pod(0).ready();
    const drained = pod(0).drain({ "x-drain-token": TOKEN });
    await waitFor(async () => !(await pod(0).ready()), { deadlineMs: 300, message: "pod 0 is still ready" });
    const messageId = randomUUID();
    const answers = await Promise.all([
      stage.client("caller").send("slow 50", { messageId }),
      stage.client("caller").stream("count 5 every 5ms"),
      ...Array.from({ length: 20 }, () => stage.client("caller").send("slow 1")),
    ]);
    for (const answer of answers) {
      if ("tries" in answer) expect(answer).toMatchObject({ status: 200, tries: 1 });
      else expect(answer).toMatchObject({ state: "completed", breaks: [] });
    }
    const [start] = (await stage.fleet.starts()).filter((one) => one.messageId === messageId);
    expect(start?.replica, "a draining instance gives new messages away").not.toBe(0);
    expect((await drained).status).toBe(200);
    // Drained is not gone: whoever still asks is answered.
    expect(await stage.client("caller").send("slow 1")).toMatchObject({ status: 200, tries: 1 });
    await pod(0).kill("pod");
  });

  test("P8: a call that waits for longer than the grace is told to come again, and its retry joins", async () => {
    const messageId = randomUUID();
    // Longer than the grace and what comes after it.
    const call = stage.client("caller").send("slow 12000", { messageId });
    await stage.started(messageId);
    await pod(0).terminate();
    const outcome = await call;
    expect(outcome).toMatchObject({ status: 200, joined: true });
    expect(outcome.envelope).toMatchObject({ result: expect.stringMatching(/completed/i) });
    expect(await turnOf(messageId)).toEqual({ attempt: 2, handovers: 1 });
  });

  test("P8: a call that comes after the drain is answered although the process is ended meanwhile", async () => {
    await pod(0).ready();
    await pod(0).drain({ "x-drain-token": TOKEN });
    const messageId = randomUUID();
    const call = stage.client("caller").send("slow 700", { messageId });
    await stage.started(messageId);
    await pod(0).terminate();
    expect(await call).toMatchObject({ status: 200, tries: 1 });
  });

  test("P8: the port stays open after the drain for as long as calls come", async () => {
    await pod(0).ready();
    const ended = pod(0).terminate();
    const calls: Promise<CallOutcome>[] = [];
    const untilMs = performance.now() + SENT_AFTER_TERM_MS;
    while (performance.now() < untilMs) {
      calls.push(stage.client("caller").send("slow 1"));
      await sleep(100);
    }
    for (const call of await Promise.all(calls)) expect(call).toMatchObject({ status: 200, tries: 1 });
    await ended;
  });

  test("P8: a new message is not given to an instance whose agent is only being started", async () => {
    const started = pod(2);
    await started.terminate();
    await started.start("sidecar", "live");
    const drained = pod(0).drain({ "x-drain-token": TOKEN });
    await waitFor(async () => !(await pod(0).ready()), { message: "pod 0 is still ready" });
    const messageId = randomUUID();
    // Both are alive at this time; the younger one could not run it.
    expect(await stage.client("caller").send("slow 1", { messageId })).toMatchObject({ status: 200, tries: 1 });
    const instances = await stage.pool.query("select pod_name from instance where agent = $1 and lease_until > now()", [
      stage.fleet.agentKey,
    ]);
    expect(instances.rows.map((row) => row.pod_name)).not.toContain(started.name);
    expect(await turnOf(messageId)).toEqual({ attempt: 1, handovers: 0 });
    expect((await stage.fleet.starts()).find((one) => one.messageId === messageId)).toMatchObject({ replica: 1 });
    await started.start("agent");
    await waitFor(() => started.ready(), { message: "it is ready once its agent answers" });
    expect((await drained).status).toBe(200);
    await pod(0).kill("pod");
  });

  test("P8: GET /prestop asks for the token, drains, and is undone when only the agent was restarted", async () => {
    const ask = (headers: Record<string, string>) => fetch(`${pod(0).adminUrl}/prestop`, { headers });
    expect((await ask({})).status).toBe(403);
    expect(await pod(0).ready()).toBe(true);
    expect((await ask({ "x-drain-token": TOKEN })).status).toBe(200);
    expect(await pod(0).ready()).toBe(false);
    await pod(0).kill("agent");
    await sleep(AGENT_AWAY_MS);
    await pod(0).start("agent");
    await waitFor(() => pod(0).ready(), { message: "pod 0 is ready again" });
    const messageId = randomUUID();
    await stage.client("caller").send("slow 1", { messageId });
    const [start] = (await stage.fleet.starts()).filter((one) => one.messageId === messageId);
    expect(start?.replica).toBe(0);
  });

  test("P8: tasks that wait for input move on elsewhere after the drain, at once", async () => {
    const asked = await stage.client("caller").send("ask");
    const taskId = taskIdIn(asked.envelope);
    await pod(0).terminate();
    const answered = await stage.client("caller").stream("count 3", { taskId, pod: 1 });
    expect(answered).toMatchObject({ state: "completed", taskId });
    expect(foldedText(answered.events)).toBe(countedTo(3));
  });

  test("P8: so do they when the answer comes while the drained instance still lives, through it or another", async () => {
    for (const through of [0, 1]) {
      const asked = await stage.client("caller").send("ask", { pod: 0 });
      const taskId = taskIdIn(asked.envelope);
      await pod(0).drain({ "x-drain-token": TOKEN });
      const messageId = randomUUID();
      const answered = await stage.client("caller").stream("count 3", { taskId, messageId, pod: through });
      expect(answered).toMatchObject({ state: "completed", taskId, breaks: [] });
      expect(await turnOf(messageId)).toEqual({ attempt: 1, handovers: 0 });
      const [start] = (await stage.fleet.starts()).filter((one) => one.messageId === messageId);
      expect(start?.replica, "a drained instance begins nothing").not.toBe(0);
      await pod(0).kill("pod");
      await stage.settle();
    }
  });
});

describe("a drain with a long grace", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ subject: JS_1, pods: 2, leaseMs: 20_000, env: { DRAIN_GRACE_MS: "20000" } });
  });
  afterAll(() => stage.close());

  test("P8: waits for a call that runs elsewhere", async () => {
    const [leaving] = stage.fleet.pods;
    const ended = leaving?.terminate();
    await waitFor(async () => !(await leaving?.ready()), { message: "the pod is still ready" });
    const messageId = randomUUID();
    const caller = stage.clientAt({ ...stage.site(), idleMs: 20_000 }, "caller");
    // Longer than a drain listens and what comes after it.
    expect(await caller.send("slow 11000", { messageId })).toMatchObject({ status: 200, tries: 1 });
    const [start] = (await stage.fleet.starts()).filter((one) => one.messageId === messageId);
    expect(start?.replica).toBe(1);
    await ended;
  });
});
