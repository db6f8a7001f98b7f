/** P4: the pod that runs a task is gone without a word, and the task goes on elsewhere under the same id. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { SeenEvent, StreamOutcome } from "./support/persistent-client.ts";
import { foldedText, taskIdIn, taskIdOf, taskText } from "./support/persistent-client.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import { JS_03, JS_1 } from "./support/subject.ts";

/**
 * How much later than its lease a dead instance's work goes on, at most. Far above what is measured and printed, so that
 * a busy machine fails nothing.
 */
const TAKEOVER_SLACK_MS = 10_000;
/** A cancel is not waited for until its caller's patience of 10 s is over. */
const CANCEL_BOUND_MS = 8_000;
const RESTARTED = /The work was restarted/;

function countedTo(last: number): string {
  return Array.from({ length: last }, (_, n) => `${n + 1} `).join("");
}

function restartOf(outcome: StreamOutcome): SeenEvent {
  const found = outcome.events.filter((event) => event.kind === "status" && RESTARTED.test(event.result));
  expect(found, "restarts that were announced").toHaveLength(1);
  return found[0] as SeenEvent;
}

describe.each([JS_1, JS_03])("a pod of a $name agent is killed", (subject) => {
  let stage: Stage;
  const takeoverMs: number[] = [];

  beforeAll(async () => {
    stage = await openStage({ subject });
  });
  afterEach(() => stage.settle());
  afterAll(async () => {
    console.log(
      `${subject.name}: taken over ${takeoverMs.map(Math.round).join(", ")} ms after the kill, lease ${stage.leaseMs} ms`,
    );
    await stage.close();
  });

  // A stall of the machine may make one takeover late, not three.
  test("P3, P4: in the middle of a stream: its subscriber elsewhere and its resumed client see one history", {
    retry: 2,
  }, async () => {
    const { fleet, leaseMs } = stage;
    let killedAtMs = 0;
    let follower: Promise<StreamOutcome> | null = null;
    const sender = await stage.client("sender").stream("count 25 every 40ms", {
      onEvent: (event) => {
        if (event.generation === 3) follower = stage.client("follower").follow(taskIdOf(event), { pod: 2 });
        if (event.generation === 8) {
          killedAtMs = performance.now();
          void fleet.pods[0]?.kill("pod");
        }
      },
    });
    const followed = await (follower as Promise<StreamOutcome> | null);
    expect(sender.state).toBe("completed");
    expect(foldedText(sender.events)).toBe(countedTo(25));
    const restart = restartOf(sender);
    takeoverMs.push(restart.atMs - killedAtMs);
    expect(restart.atMs - killedAtMs).toBeLessThan(leaseMs + TAKEOVER_SLACK_MS);
    expect(foldedText(followed?.events ?? [])).toBe(countedTo(25));
    expect(followed?.connections, "connections of the subscriber elsewhere").toBe(1);
    expect(await stage.startsOf(sender.messageId)).toBe(2);
    expect(taskText((await stage.client("asker").get(sender.taskId ?? "", 1)) ?? "{}")).toBe(countedTo(25));
  });

  test("P4, P7: in the middle of a blocking call: the same send again gets the answer", async () => {
    const messageId = randomUUID();
    const answer = stage.client("caller").send("slow 700", { messageId });
    await stage.started(messageId);
    const killedAtMs = performance.now();
    await stage.fleet.pods[0]?.kill("pod");
    const outcome = await answer;
    expect(outcome.envelope).toMatchObject({ kind: "result", result: expect.stringMatching(/completed/i) });
    expect(outcome.joined).toBe(true);
    expect(outcome.endedAtMs - killedAtMs).toBeLessThan(stage.leaseMs + TAKEOVER_SLACK_MS + 700);
    expect(await stage.startsOf(messageId)).toBe(2);
  });

  test("P4: before its first event: the same stream again brings the whole turn", async () => {
    const messageId = randomUUID();
    const stream = stage.client("sender").stream("silent 700", { messageId });
    await stage.started(messageId);
    await stage.fleet.pods[0]?.kill("pod");
    const outcome = await stream;
    expect(outcome.state).toBe("completed");
    expect(outcome.joined).toBeGreaterThan(0);
    expect(outcome.events[0]?.generation).toBe(1);
    expect(await stage.startsOf(messageId)).toBe(2);
  });

  test("P4: after its turn ended with the agent still at work: the task ends as failed, for its owner is gone", async () => {
    const outcome = await stage.client("caller").send("settle");
    const taskId = taskIdIn(outcome.envelope);
    await stage.fleet.pods[0]?.kill("pod");
    const followed = await stage.client("follower").follow(taskId, { pod: 1 });
    expect(followed.state).toBe("failed");
    expect(followed.events.at(-1)?.result).toContain("The instance that ran this task is gone");
  });

  test("P1, P4: while it waits for input: the answer through another pod moves it on", async () => {
    const asked = await stage.client("caller").stream("ask");
    expect(asked.state).toBe("input-required");
    await stage.fleet.pods[0]?.kill("pod");
    const answered = await stage.client("caller").stream("count 3", { taskId: asked.taskId ?? "", pod: 1 });
    expect(answered.state).toBe("completed");
    expect(answered.taskId).toBe(asked.taskId);
    expect(foldedText(answered.events)).toBe(countedTo(3));
    expect(await stage.startsOf(answered.messageId)).toBe(1);
  });

  test("P6: a cancel through another pod ends the task without its owner, and it stays so", async () => {
    let taskId = "";
    const leave = new AbortController();
    const stream = stage.client("sender").stream("count 200 every 20ms", {
      signal: leave.signal,
      onEvent: (event) => {
        taskId = taskIdOf(event);
        if (event.generation === 5) leave.abort();
      },
    });
    expect(await stream).toMatchObject({ refused: null, state: "working" });
    await stage.fleet.pods[0]?.kill("pod");
    const askedAtMs = performance.now();
    const canceled = await stage.client("canceller").cancel(taskId, 1);
    const canceledMs = performance.now() - askedAtMs;
    console.log(`canceled ${Math.round(canceledMs)} ms after it was asked for, its pod gone`);
    expect(canceledMs).toBeLessThan(CANCEL_BOUND_MS);
    expect(canceled.envelope).toMatchObject({ kind: "result", result: expect.stringMatching(/canceled/i) });
    const { messageId } = await stream;
    const starts = await stage.startsOf(messageId);
    // A lease later somebody has looked at what the dead one left.
    await stage.client("follower").get(taskId, 2);
    const { rows } = await stage.pool.query("select pg_sleep($1)", [(stage.leaseMs + 700) / 1000]);
    expect(rows).toHaveLength(1);
    const task = await stage.client("asker").get(taskId, 2);
    expect(task).toMatch(/canceled/i);
    expect(await stage.startsOf(messageId)).toBe(starts);
  });
});
