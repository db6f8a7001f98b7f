/** P3, P4: the published Python clients judge a takeover: what they make of the events is the new attempt's work alone. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { PythonSdk } from "../python/peers.ts";
import { artifactTexts, judge, pythonPeersOrSkip, startJudge } from "./support/python-judge.ts";
import { stateOf } from "./support/rpc-client.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import type { Subject } from "./support/subject.ts";
import { JS_03, JS_1, JS_1_COMPAT, PY_03, PY_1 } from "./support/subject.ts";

const built = pythonPeersOrSkip("Python clients as judges");

/** Each published client with the agents it can talk to; 1.x brings a client for 0.3 of its own. */
const JUDGES: { name: string; sdk: PythonSdk; subject: Subject }[] = [
  { name: "Python 1.3 of a JS 1.3 agent", sdk: "1", subject: JS_1 },
  { name: "Python 0.3 of a JS 1.3 agent in 0.3", sdk: "03", subject: JS_1_COMPAT },
  { name: "Python 0.3 of a JS 0.3 agent", sdk: "03", subject: JS_03 },
  { name: "Python 1.3 of a JS 0.3 agent", sdk: "1", subject: JS_03 },
];

function countedTo(last: number): string {
  return Array.from({ length: last }, (_, n) => `${n + 1} `).join("");
}

describe.skipIf(!built).each(JUDGES)("the client of $name", ({ sdk, subject }) => {
  let stage: Stage;
  let urls: string[] = [];

  beforeAll(async () => {
    stage = await openStage({ subject, pods: 2 });
    urls = stage.fleet.pods.map((pod) => pod.url);
  });
  afterEach(() => stage.settle());
  afterAll(() => stage?.close());

  // A stall of the machine may bring the follower too late, not twice.
  test("P3, P4: its pod is killed in the middle of a stream: it ends with the new attempt's content only", {
    retry: 1,
  }, async () => {
    const [first = "", second = ""] = urls;
    const messageId = randomUUID();
    const sender = startJudge(sdk, { do: "stream", urls, text: "count 100 every 50ms", messageId });
    await sender.seen(1);
    const taskId = await onlyTask();
    const follower = startJudge(sdk, { do: "follow", urls: [second], taskId });
    await Promise.all([sender.seen(6), follower.seen(2)]);
    await stage.fleet.pods[0]?.kill("pod");
    const [sent, followed] = await Promise.all([sender.judgement, follower.judgement]);
    expect(sent.broken.length).toBeGreaterThan(0);
    for (const { end, connections } of [sent, followed]) {
      expect(end.id).toBe(taskId);
      expect(stateOf(end)).toBe("completed");
      expect(artifactTexts(end)).toEqual({ numbers: countedTo(100) });
      // A second Task in a stream is an error to a Python client of 0.3.
      for (const seen of connections) expect(seen.slice(1).map(({ kind }) => kind)).not.toContain("task");
    }
    // The one elsewhere has folded both attempts in one go.
    expect(followed).toMatchObject({ by: "stream", broken: [] });
    const { end: asked } = await judge(sdk, { do: "get", urls: [first, second], taskId });
    expect(artifactTexts(asked)).toEqual({ numbers: countedTo(100) });
    expect(await stage.startsOf(messageId)).toBe(2);
  });

  test("P3, P4: an artifact the new attempt never comes to is blank to a reader and left out of the Task", async () => {
    const [, second = ""] = urls;
    const messageId = randomUUID();
    const sender = startJudge(sdk, { do: "stream", urls, text: "count 9 every 1500ms", messageId });
    await sender.seen(1);
    const taskId = await onlyTask();
    const follower = startJudge(sdk, { do: "follow", urls: [second], taskId });
    // Task, working, and the first number.
    await Promise.all([sender.seen(3), follower.seen(1)]);
    await stage.fleet.pods[0]?.kill("pod");
    await stage.started(messageId, 2);
    // Before it comes to its first number, so by a client that need not be started first.
    await stage.client("canceller").cancel(taskId, 1);
    for (const { end } of await Promise.all([sender.judgement, follower.judgement])) {
      expect(stateOf(end)).toBe("canceled");
      // Left out of the Task it began with, or blanked by an event.
      expect(["", undefined]).toContain(artifactTexts(end).numbers);
    }
    const { end: asked } = await judge(sdk, { do: "get", urls: [second], taskId });
    expect(artifactTexts(asked)).toEqual({});
  });

  /** The public id of the one task there is. */
  async function onlyTask(): Promise<string> {
    const { rows } = await stage.pool.query<{ id: string }>("select id from task");
    expect(rows).toHaveLength(1);
    return rows[0]?.id ?? "";
  }
});

describe.skipIf(!built).each([{ sdk: "1", subject: PY_1 } as const, { sdk: "03", subject: PY_03 } as const])(
  "the client of $subject.name of its own SDK's agent",
  ({ sdk, subject }) => {
    let stage: Stage;

    beforeAll(async () => {
      stage = await openStage({ subject, pods: 2 });
    });
    afterEach(() => stage.settle());
    afterAll(() => stage?.close());

    test("P3, P4: artifacts whose ids are new in every run take the places of those of the broken attempt", async () => {
      const urls = stage.fleet.pods.map((pod) => pod.url);
      const sender = startJudge(sdk, { do: "stream", urls, text: "drafts 6 every 300ms" });
      await sender.seen(5);
      await stage.fleet.pods[0]?.kill("pod");
      const { end, broken } = await sender.judgement;
      expect(broken.length).toBeGreaterThan(0);
      expect(stateOf(end)).toBe("completed");
      const drafts = [1, 2, 3, 4, 5, 6].map((n) => `draft ${n}`);
      expect(Object.values(artifactTexts(end))).toEqual(drafts);
      const { end: asked } = await judge(sdk, { do: "get", urls: urls.slice(1), taskId: end.id });
      expect(Object.values(artifactTexts(asked))).toEqual(drafts);
    });

    test("P1: it sends, asks, answers and cancels on any pod", async () => {
      const [first = "", second = ""] = stage.fleet.pods.map((pod) => pod.url);
      const { end: done } = await judge(sdk, { do: "send", urls: [first], text: "slow 20" });
      expect(artifactTexts(done)).toEqual({ result: "slow but sure" });
      const { end: asked } = await judge(sdk, { do: "stream", urls: [first], text: "ask" });
      expect(stateOf(asked)).toBe("input-required");
      const { end: answered } = await judge(sdk, { do: "stream", urls: [second], text: "blue", taskId: asked.id });
      expect(answered.id).toBe(asked.id);
      expect(stateOf(answered)).toBe("completed");
      const waiting = startJudge(sdk, { do: "stream", urls: [first], text: "wait-cancel" });
      await waiting.seen(2);
      const { rows } = await stage.pool.query<{ id: string }>("select id from task where finished_at is null");
      const { end: canceled } = await judge(sdk, { do: "cancel", urls: [second], taskId: rows[0]?.id ?? "" });
      expect(stateOf(canceled)).toBe("canceled");
      expect(stateOf((await waiting.judgement).end)).toBe("canceled");
    });
  },
);
