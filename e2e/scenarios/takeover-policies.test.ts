/** P4: what becomes of work that may not be repeated, or has been as often as allowed. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import { foldedText, taskIdOf } from "./support/persistent-client.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import { JS_03, JS_1, RAW_1 } from "./support/subject.ts";

const NOT_REPEATED = "may not be repeated";
const EXHAUSTED = "as often as allowed";

describe.each([JS_1, JS_03])("the policy of a $name agent is Fail and its pod is killed", (subject) => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ subject, env: { RECOVERY_POLICY: "Fail" } });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage.close());

  test("P4: in the middle of a stream: the task ends as failed, with the reason", async () => {
    const sent = await stage.client("sender").stream("count 60 every 40ms", {
      onEvent: (event) => {
        if (event.generation === 6) void stage.fleet.pods[0]?.kill("pod");
      },
    });
    expect(sent.state).toBe("failed");
    expect(sent.events.at(-1)?.result).toContain(NOT_REPEATED);
    expect(await stage.startsOf(sent.messageId)).toBe(1);
  });

  test.each(["send", "stream"] as const)(
    "P4: before anything is recorded: a %s gets a failed task with the message in it",
    async (how) => {
      const messageId = randomUUID();
      const call = stage.client("caller")[how]("silent 5000", { messageId });
      await stage.started(messageId);
      await stage.fleet.pods[0]?.kill("pod");
      const outcome = await call;
      const shown = "events" in outcome ? (outcome.events.at(-1)?.result ?? "") : JSON.stringify(outcome.envelope);
      expect(shown).toMatch(/failed/i);
      expect(shown).toContain(NOT_REPEATED);
      expect(shown).toContain(messageId);
      expect(await stage.startsOf(messageId)).toBe(1);
    },
  );

  test("P4: while it waits for input: the answer goes to another pod, for nothing was interrupted", async () => {
    const asked = await stage.client("caller").stream("ask");
    await stage.fleet.pods[0]?.kill("pod");
    const answered = await stage.client("caller").stream("count 2", { taskId: asked.taskId ?? "", pod: 1 });
    expect(answered.state).toBe("completed");
  });
});

describe("a message may be tried twice", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ subject: JS_1, env: { RECOVERY_MAX_ATTEMPTS: "2" } });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage.close());

  test("P4: and both pods that tried are killed: the task ends as failed, with the reason", async () => {
    const kills: Promise<unknown>[] = [];
    const sent = await stage.client("sender").stream("count 100 every 40ms", {
      onEvent: (event) => {
        const restarts = event.result.includes("The work was restarted");
        if (event.generation !== 5 && !restarts) return;
        kills.push(stage.ownerOf(taskIdOf(event)).then((owner) => stage.fleet.pods[owner]?.kill("pod")));
      },
    });
    await Promise.all(kills);
    expect(sent.state).toBe("failed");
    expect(sent.events.at(-1)?.result).toContain(EXHAUSTED);
    expect(await stage.startsOf(sent.messageId)).toBeLessThanOrEqual(2);
  });

  test("P4: and the agent dies of it both times: the task ends as failed, and the agent is there for others", async () => {
    const agent = stage.fleet.pods[0];
    let done = false;
    const supervisor = waitFor(
      async () => {
        if (agent?.runs("agent") === false) await agent.start("agent");
        return done;
      },
      { deadlineMs: 20_000, message: "the test's end" },
    );
    const sent = await stage.client("sender").stream("crash 200");
    expect(sent.state).toBe("failed");
    expect(sent.events.at(-1)?.result).toContain(EXHAUSTED);
    expect(await stage.startsOf(sent.messageId)).toBe(2);
    const next = await stage.client("sender").stream("count 2");
    done = true;
    await supervisor;
    expect(next.state).toBe("completed");
  });
});

describe("messages that wait in a task's queue", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ subject: JS_1 });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage.close());

  test("P4: go on elsewhere in their order, behind the one that was running when the pod was killed", async () => {
    const asked = await stage.client("caller").stream("ask 3");
    const taskId = asked.taskId ?? "";
    // The pod that takes over has never heard of the task: to its agent this is a new message, which asks.
    const ids = [randomUUID(), randomUUID(), randomUUID()] as const;
    const running = stage.client("one").send("ask 1 after 1000ms", { taskId, messageId: ids[0] });
    await stage.started(ids[0]);
    const second = stage.client("two").send("second", { taskId, messageId: ids[1], pod: 1 });
    const turns = async (count: number) =>
      (await stage.pool.query("select 1 from turn where task_id = $1 and state = 'queued'", [taskId])).rowCount ===
      count;
    await waitFor(() => turns(1), { message: "the second message is queued" });
    const third = stage.client("three").send("third", { taskId, messageId: ids[2], pod: 2 });
    await waitFor(() => turns(2), { message: "the third message is queued" });
    await stage.fleet.pods[0]?.kill("pod");
    expect((await running).envelope).toMatchObject({ result: expect.stringMatching(/input.required/i) });
    expect((await second).envelope).toMatchObject({ result: expect.stringContaining("You said second") });
    // The second answer has completed the task.
    expect((await third).envelope).toMatchObject({ kind: "error", code: -32004 });
    expect(await stage.startsOf(ids[0])).toBe(2);
    expect(await stage.startsOf(ids[1])).toBe(1);
    expect(await stage.startsOf(ids[2])).toBe(0);
  });
});

describe("agents that count their task ids", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ subject: { ...RAW_1, flags: ["--counted-ids"] } });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage.close());

  test("P3, P4: the id by which a client knows its task stays, whatever the next agent calls it", async () => {
    const outcomes = await Promise.all(
      [0, 0, 1, 2].map((pod, n) =>
        stage.client(`sender ${n}`).stream("count 30 every 40ms", {
          pod,
          onEvent: (event) => {
            if (n === 0 && event.generation === 8) void stage.fleet.pods[0]?.kill("pod");
          },
        }),
      ),
    );
    const text = Array.from({ length: 30 }, (_, n) => `${n + 1} `).join("");
    for (const outcome of outcomes) {
      expect(outcome.state).toBe("completed");
      expect(foldedText(outcome.events)).toBe(text);
    }
    expect(new Set(outcomes.map((outcome) => outcome.taskId)).size).toBe(4);
  });
});
