/** P4: one container of a pod dies and the other one lives on. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import { foldedText, taskIdIn } from "./support/persistent-client.ts";
import type { Pod } from "./support/pods.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import { JS_03, JS_1 } from "./support/subject.ts";

const RESTARTED = "The work was restarted";

function countedTo(last: number): string {
  return Array.from({ length: last }, (_, n) => `${n + 1} `).join("");
}

describe.each([JS_1, JS_03])("in a pod of a $name agent", (subject) => {
  let stage: Stage;

  beforeAll(async () => {
    // Long enough for a container to come back within it: otherwise the other pod takes over, and rightly so.
    stage = await openStage({ subject, pods: 2, leaseMs: 15_000 });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage.close());

  function pod(n: number): Pod {
    const found = stage.fleet.pods[n];
    if (found === undefined) throw new Error(`there is no pod ${n}`);
    return found;
  }

  async function restartSidecar(): Promise<void> {
    await pod(0).kill("sidecar");
    await pod(0).start("sidecar");
  }

  /** What a kubelet does: the container is back a moment later. */
  async function restartAgent(): Promise<void> {
    await pod(0).kill("agent");
    await pod(0).start("agent");
  }

  test("P4: the sidecar dies in the middle of a stream: the next one goes on with the run that is there", async () => {
    let restarted = null as Promise<void> | null;
    const sent = await stage.client("sender").stream("count 60 every 50ms", {
      onEvent: (event) => {
        if (event.generation === 6) restarted = restartSidecar();
      },
    });
    await restarted;
    expect(sent.state).toBe("completed");
    expect(foldedText(sent.events)).toBe(countedTo(60));
    expect(sent.events.some((event) => event.result.includes(RESTARTED))).toBe(false);
    expect(await stage.startsOf(sent.messageId)).toBe(1);
  });

  test("P4: the sidecar dies while a task waits for input: the answer reaches the run that asked", async () => {
    const asked = await stage.client("caller").stream("ask");
    await restartSidecar();
    const answered = await stage.client("caller").stream("blue", { taskId: asked.taskId ?? "", pod: 0 });
    expect(answered.state).toBe("completed");
    expect(foldedText(answered.events)).toBe("You said blue");
  });

  test("P4: the sidecar dies in the middle of a blocking call: one task comes of it", async () => {
    const messageId = randomUUID();
    const call = stage.client("caller").send("slow 2500", { messageId });
    await stage.started(messageId);
    await restartSidecar();
    const outcome = await call;
    expect(outcome).toMatchObject({ status: 200, joined: true });
    expect(outcome.envelope).toMatchObject({ result: expect.stringMatching(/completed/i) });
    // A 1.0 agent can be asked for the message by its id; elsewhere the call is made again.
    expect(await stage.startsOf(messageId)).toBe(subject.dialect === "1.0" ? 1 : 2);
  });

  test("P4: the sidecar dies and the run ends before the next one is there: its result is taken in", async () => {
    const sent = stage.client("sender").stream("count 10 every 60ms", {
      onEvent: (event) => {
        if (event.generation === 5) void pod(0).kill("sidecar");
      },
    });
    await waitFor(() => !pod(0).runs("sidecar"), { message: "the sidecar lives" });
    const { rows } = await stage.pool.query("select pg_sleep(0.8)");
    expect(rows).toHaveLength(1);
    await pod(0).start("sidecar");
    const outcome = await sent;
    expect(outcome.state).toBe("completed");
    expect(foldedText(outcome.events)).toBe(countedTo(10));
    expect(await stage.startsOf(outcome.messageId)).toBe(1);
  });

  test("P4: the agent dies in the middle of a stream: restarted is said, then the result comes, under the same id", async () => {
    let restarted = null as Promise<void> | null;
    const sent = await stage.client("sender").stream("count 12 every 40ms", {
      onEvent: (event) => {
        if (event.generation === 6 && restarted === null) restarted = restartAgent();
      },
    });
    await restarted;
    expect(sent.state).toBe("completed");
    expect(foldedText(sent.events)).toBe(countedTo(12));
    expect(sent.connections).toBe(1);
    const said = sent.events.filter((event) => event.result.includes(RESTARTED));
    expect(said).toHaveLength(1);
    expect(said[0]?.state).toBe("working");
    expect(await stage.startsOf(sent.messageId)).toBe(2);
  });

  test("P4: the agent dies in the middle of a blocking call: the caller gets the answer of the second try", async () => {
    const messageId = randomUUID();
    const call = stage.client("caller").send("slow 500", { messageId });
    await stage.started(messageId);
    await restartAgent();
    expect(await call).toMatchObject({ status: 200, tries: 1 });
    expect((await call).envelope).toMatchObject({ result: expect.stringMatching(/completed/i) });
    expect(await stage.startsOf(messageId)).toBe(2);
  });

  test("P4: the agent dies while it waits for input: the answer starts the work again in the same task", async () => {
    const asked = await stage.client("caller").send("ask");
    const taskId = taskIdIn(asked.envelope);
    await restartAgent();
    const answered = await stage.client("caller").stream("count 3", { taskId });
    expect(answered).toMatchObject({ state: "completed", taskId });
    expect(foldedText(answered.events)).toBe(countedTo(3));
  });

  test("P4: an agent that does not come back gives its work to another pod", { timeout: 40_000 }, async () => {
    const sent = await stage.client("sender").stream("count 12 every 40ms", {
      onEvent: (event) => {
        if (event.generation === 6) void pod(0).kill("agent");
      },
    });
    expect(sent.state).toBe("completed");
    expect(foldedText(sent.events)).toBe(countedTo(12));
    expect(await stage.ownerOf(sent.taskId ?? "")).toBe(1);
    expect(await stage.startsOf(sent.messageId)).toBe(2);
  });
});
