/** P4, P10: runs of Python agents that are followed by anything but the stream of the call that started them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { foldedText } from "./support/persistent-client.ts";
import { pythonPeersOrSkip } from "./support/python-judge.ts";
import { RpcClient, taskIdOf } from "./support/rpc-client.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import { PY_03, PY_1 } from "./support/subject.ts";

const built = pythonPeersOrSkip("runs of Python agents without their stream");

function countedTo(last: number): string {
  return Array.from({ length: last }, (_, n) => `${n + 1} `).join("");
}

describe.skipIf(!built).each([PY_1, PY_03])("a run of an agent on $name", (subject) => {
  let stage: Stage;

  beforeAll(async () => {
    // Long enough for a sidecar to come back within it: otherwise the other pod takes over, and rightly so.
    stage = await openStage({ subject, pods: 2, leaseMs: 15_000 });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage?.close());

  test("P4: the sidecar dies in the middle of its stream: the next one goes on with the run that is there", async () => {
    let restarted = null as Promise<void> | null;
    const sent = await stage.client("sender").stream("count 60 every 50ms", {
      onEvent: (event) => {
        if (event.generation === 6) restarted = restartSidecar();
      },
    });
    await restarted;
    expect(sent.state).toBe("completed");
    expect(foldedText(sent.events)).toBe(countedTo(60));
    expect(await stage.startsOf(sent.messageId)).toBe(1);
  });

  test("P4: its executor throws in the middle of its stream: the stream ends, and the task as failed", async () => {
    const sent = await stage.client("sender").stream("throw");
    expect(sent.state).toBe("failed");
    expect(await stage.client("asker").get(sent.taskId ?? "", 1)).toMatch(/failed/i);
  });

  test("P10: its executor leaves the task at working: a follow-up does not wait for what will not come", async () => {
    const [pod] = stage.fleet.pods;
    const left = await new RpcClient(pod?.url ?? "", subject).send("settle", { blocking: false });
    const askedAtMs = performance.now();
    const done = await stage.client("caller").send("hello", { taskId: taskIdOf(left.body.result) });
    expect(done.envelope).toMatchObject({ kind: "result", result: expect.stringMatching(/completed/i) });
    // The agent itself answers within milliseconds.
    expect(performance.now() - askedAtMs).toBeLessThan(5_000);
  });

  async function restartSidecar(): Promise<void> {
    await stage.fleet.pods[0]?.kill("sidecar");
    await stage.fleet.pods[0]?.start("sidecar");
  }
});
