import { afterAll, beforeAll, expect, it } from "vitest";
import { waitUntil } from "../node/wait.ts";
import { rpcPath, sidecarPort } from "./support/agent-under-test.ts";
import { clusterAccess, openPodProxy, type PodProxy } from "./support/cluster-access.ts";
import { call, converse, follow } from "./support/conversation.ts";
import { startCheckedStreams } from "./support/checked-streams.ts";
import { countedTo, startLoad } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";

interface Task {
  readonly status: { readonly state: string };
}

describeAgent("a pod is lost in mid-turn", { isProtected: true }, (agent) => {
  let proxy: PodProxy;
  beforeAll(async () => {
    if (clusterAccess !== undefined) proxy = await openPodProxy();
  });
  afterAll(() => proxy?.close());

  it("K3: deleted by force, its task is completed by the other pod under the same id, in one gap-free history", async () => {
    const [owner] = await agent().pods();
    if (owner === undefined) throw new Error("two pods are expected");
    const { name } = owner.metadata;
    const ownerUrl = `${proxy.urlOf(agent().namespace, name, sidecarPort)}${rpcPath}`;
    const running = converse("count 80 every 100ms", ownerUrl, agent().endpoint);
    let taskId = "";
    await waitUntil("the task to be recorded and at work", async () => {
      taskId = (await agent().executions([owner])).at(-1)?.taskId ?? "";
      const read = await call<Task>(agent().endpoint, "GetTask", { id: taskId });
      return read.kind === "result" && read.result.status.state === "TASK_STATE_WORKING";
    });
    const followed = follow(taskId, agent().endpoint);
    // Calls that are never repeated fail with the pod that answers them; everything else has to come through.
    const load = startLoad(agent().endpoint, { callsPerSecond: 0 });
    const checked = await startCheckedStreams(agent());
    await waitUntil("streams on the pod", async () => (await agent().executions([owner])).length > 5);
    await agent().kubectl("delete", "pod", name, "--force", "--grace-period=0");
    await agent().waitForRollout();
    const outcome = await running;
    expect(outcome).toMatchObject({ taskId, problems: [], state: "TASK_STATE_COMPLETED", text: countedTo(80) });
    expect(outcome.connections).toBeGreaterThan(1);
    expect(await followed).toMatchObject({ problems: [], state: "TASK_STATE_COMPLETED", text: countedTo(80) });
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.resumed).toBeGreaterThan(0);
    const { violations, streams } = await checked.stop();
    expect(violations).toEqual([]);
    expect(streams).toBeGreaterThan(3);
  });
});
