/** Unmodified agents on the published Python SDKs behind the sidecar: any pod answers, and a task outlives its pod. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { StreamOutcome } from "./support/persistent-client.ts";
import { foldedText, taskIdIn, taskIdOf, taskText } from "./support/persistent-client.ts";
import { pythonPeersOrSkip } from "./support/python-judge.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import { PY_03, PY_1 } from "./support/subject.ts";

const built = pythonPeersOrSkip("Python agents behind the sidecar");

const RESTARTED = /The work was restarted/;

function countedTo(last: number): string {
  return Array.from({ length: last }, (_, n) => `${n + 1} `).join("");
}

describe.skipIf(!built).each([PY_1, PY_03])("an agent on $name", (subject) => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ subject, pods: 2 });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage?.close());

  test("P1, P3: a stream here, a subscription and a get there: one history", async () => {
    let follower: Promise<StreamOutcome> | null = null;
    const sent = await stage.client("sender").stream("count 12 every 30ms", {
      onEvent: (event) => {
        if (event.generation === 3) follower = stage.client("follower").follow(taskIdOf(event), { pod: 1 });
      },
    });
    const followed = await (follower as Promise<StreamOutcome> | null);
    expect(sent.state).toBe("completed");
    expect(foldedText(sent.events)).toBe(countedTo(12));
    expect(foldedText(followed?.events ?? [])).toBe(countedTo(12));
    expect(taskText((await stage.client("asker").get(sent.taskId ?? "", 1)) ?? "{}")).toBe(countedTo(12));
    expect(await stage.startsOf(sent.messageId)).toBe(1);
  });

  test("P10: a blocking call is answered with the finished Task, a bare Message with the Message", async () => {
    const done = await stage.client("caller").send("count 3");
    expect(done.envelope).toMatchObject({ kind: "result", result: expect.stringMatching(/completed/i) });
    for (const how of ["send", "stream"] as const) {
      const said = await stage.client("caller")[how]("message");
      const result = "envelope" in said ? JSON.stringify(said.envelope) : said.events.at(-1)?.result;
      expect(result).toContain("just a message");
    }
  });

  test("P1: a cancel through another pod reaches the executor, and the task is canceled", async () => {
    let canceled: Promise<unknown> | null = null;
    const sent = await stage.client("sender").stream("wait-cancel", {
      onEvent: (event) => {
        if (event.state === "working") canceled ??= stage.client("canceller").cancel(taskIdOf(event), 1);
      },
    });
    expect(sent.state).toBe("canceled");
    expect(await (canceled as Promise<unknown> | null)).toMatchObject({
      envelope: { result: expect.stringMatching(/canceled/i) },
    });
    expect((await stage.fleet.cancels()).map(({ taskId }) => taskId)).toContain(sent.taskId);
  });

  test.each(["send", "stream"] as const)("P1: the answer to a question may go to another pod: %s", async (how) => {
    const asked = await stage.client("caller").stream("ask");
    expect(asked.state).toBe("input-required");
    const taskId = asked.taskId ?? "";
    await stage.client("caller")[how]("blue", { taskId, pod: 1 });
    const task = (await stage.client("asker").get(taskId)) ?? "{}";
    expect(task).toMatch(/completed/i);
    expect(taskText(task)).toBe("You said blue");
    const runs = (await stage.fleet.starts()).filter((start) => start.taskId === taskId);
    expect(runs.map(({ replica, text }) => ({ replica, text }))).toEqual([
      { replica: 0, text: "ask" },
      { replica: 0, text: "blue" },
    ]);
  });

  test("P3, P4: its pod is killed in the middle of a stream: the task goes on elsewhere under its id", async () => {
    let follower: Promise<StreamOutcome> | null = null;
    const sent = await stage.client("sender").stream("count 25 every 40ms", {
      onEvent: (event) => {
        if (event.generation === 3) follower = stage.client("follower").follow(taskIdOf(event), { pod: 1 });
        if (event.generation === 8) void stage.fleet.pods[0]?.kill("pod");
      },
    });
    const followed = await (follower as Promise<StreamOutcome> | null);
    expect(sent.state).toBe("completed");
    expect(foldedText(sent.events)).toBe(countedTo(25));
    expect(sent.events.filter((event) => RESTARTED.test(event.result))).toHaveLength(1);
    expect(foldedText(followed?.events ?? [])).toBe(countedTo(25));
    expect(followed?.connections, "connections of the subscriber elsewhere").toBe(1);
    expect(await stage.startsOf(sent.messageId)).toBe(2);
    expect(taskText((await stage.client("asker").get(sent.taskId ?? "", 1)) ?? "{}")).toBe(countedTo(25));
  });

  test("P4, P7: its pod is killed in the middle of a blocking call: the same send again gets the answer", async () => {
    const messageId = randomUUID();
    const answer = stage.client("caller").send("slow 700", { messageId });
    await stage.started(messageId);
    await stage.fleet.pods[0]?.kill("pod");
    const outcome = await answer;
    expect(outcome.envelope).toMatchObject({ kind: "result", result: expect.stringMatching(/completed/i) });
    expect(outcome.joined).toBe(true);
    expect(await stage.startsOf(messageId)).toBe(2);
  });

  test("P4: its pod is killed before the first event: the same stream again brings the whole turn", async () => {
    const messageId = randomUUID();
    const stream = stage.client("sender").stream("silent 700", { messageId });
    await stage.started(messageId);
    await stage.fleet.pods[0]?.kill("pod");
    const outcome = await stream;
    expect(outcome.state).toBe("completed");
    expect(outcome.events[0]?.generation).toBe(1);
    expect(await stage.startsOf(messageId)).toBe(2);
  });

  test.each(["send", "stream"] as const)(
    "P1, P4: its pod is killed while it waits for input: %s moves it on",
    async (how) => {
      const asked = await stage.client("caller").stream("ask");
      const taskId = asked.taskId ?? "";
      await stage.fleet.pods[0]?.kill("pod");
      const messageId = randomUUID();
      await stage.client("caller")[how]("count 3", { taskId, pod: 1, messageId });
      const task = (await stage.client("asker").get(taskId, 1)) ?? "{}";
      expect(task).toMatch(/completed/i);
      expect(taskText(task)).toBe(countedTo(3));
      expect(await stage.startsOf(messageId)).toBe(1);
    },
  );

  test("P6: its pod is killed and a cancel through another one ends the task for good", async () => {
    const leave = new AbortController();
    const sent = await stage.client("sender").stream("count 500 every 20ms", {
      signal: leave.signal,
      onEvent: (event) => {
        if (event.generation === 5) leave.abort();
      },
    });
    await stage.fleet.pods[0]?.kill("pod");
    const canceled = await stage.client("canceller").cancel(sent.taskId ?? "", 1);
    expect(canceled.envelope).toMatchObject({ kind: "result", result: expect.stringMatching(/canceled/i) });
  });
});

describe.skipIf(!built).each([PY_1, PY_03])("in a pod of an agent on $name", (subject) => {
  let stage: Stage;

  beforeAll(async () => {
    // Long enough for a container to come back within it: otherwise the other pod takes over, and rightly so.
    stage = await openStage({ subject, pods: 2, leaseMs: 15_000, env: { DRAIN_GRACE_MS: "0" } });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage?.close());

  async function restart(part: "sidecar" | "agent"): Promise<void> {
    await stage.fleet.pods[0]?.kill(part);
    await stage.fleet.pods[0]?.start(part);
  }

  test("P4: the sidecar dies while a task waits for input: the answer reaches the run that asked", async () => {
    const asked = await stage.client("caller").stream("ask");
    await restart("sidecar");
    const answered = await stage.client("caller").stream("blue", { taskId: asked.taskId ?? "" });
    expect(answered.state).toBe("completed");
    expect(foldedText(answered.events)).toBe("You said blue");
  });

  test("P4: the sidecar dies in the middle of a blocking call: one task comes of it", async () => {
    const messageId = randomUUID();
    const call = stage.client("caller").send("slow 2500", { messageId });
    await stage.started(messageId);
    await restart("sidecar");
    const outcome = await call;
    expect(outcome).toMatchObject({ status: 200, joined: true });
    expect(outcome.envelope).toMatchObject({ result: expect.stringMatching(/completed/i) });
    // A 1.0 agent can be asked for the message by its id; elsewhere the call is made again.
    expect(await stage.startsOf(messageId)).toBe(subject.dialect === "1.0" ? 1 : 2);
  });

  test("P4: the agent dies in the middle of a stream: restarted is said, then the result comes, under the same id", async () => {
    let restarted = null as Promise<void> | null;
    const sent = await stage.client("sender").stream("count 12 every 40ms", {
      onEvent: (event) => {
        if (event.generation === 6 && restarted === null) restarted = restart("agent");
      },
    });
    await restarted;
    expect(sent.state).toBe("completed");
    expect(foldedText(sent.events)).toBe(countedTo(12));
    expect(sent.connections).toBe(1);
    expect(sent.events.filter((event) => RESTARTED.test(event.result))).toHaveLength(1);
    expect(await stage.startsOf(sent.messageId)).toBe(2);
  });

  test("P4: the agent dies while it waits for input: the answer starts the work again in the same task", async () => {
    const asked = await stage.client("caller").send("ask");
    const taskId = taskIdIn(asked.envelope);
    await restart("agent");
    const answered = await stage.client("caller").stream("count 3", { taskId });
    expect(answered).toMatchObject({ state: "completed", taskId });
    expect(foldedText(answered.events)).toBe(countedTo(3));
  });

  test("P8: its sidecar is told to end in the middle of a stream: the work is handed over at once", async () => {
    let ended = null as Promise<void> | null;
    const sent = await stage.client("sender").stream("count 25 every 40ms", {
      onEvent: (event) => {
        if (event.generation === 8 && ended === null) ended = stage.fleet.pods[0]?.terminate() ?? null;
      },
    });
    await ended;
    expect(sent.state).toBe("completed");
    expect(foldedText(sent.events)).toBe(countedTo(25));
    // Long before a lease is over.
    const gaps = sent.events.slice(1).map((event, n) => event.atMs - (sent.events[n]?.atMs ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(stage.leaseMs);
    expect(await stage.startsOf(sent.messageId)).toBe(2);
  });
});
