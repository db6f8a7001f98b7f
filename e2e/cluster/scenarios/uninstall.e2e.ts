import { afterAll, expect, it } from "vitest";
import { waitUntil } from "../node/wait.ts";
import { isInjected } from "./support/agent-under-test.ts";
import { clusterAccess, requireCluster } from "./support/cluster-access.ts";
import { installOperator, uninstallOperator } from "./support/installation.ts";
import { startLoad } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";

describeAgent("the chart is removed first", { isProtected: true, obeysSignals: false }, (agent) => {
  afterAll(async () => {
    if (clusterAccess !== undefined) await installOperator(requireCluster());
  });

  const revision = async (): Promise<number> => {
    const path = "jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}";
    return Number(await agent().kubectl("get", agent().resource, "-o", path));
  };

  it("K15: workloads run on without sidecars, no request fails, and the resources can be deleted", async () => {
    const before = await revision();
    const load = startLoad(agent().endpoint, { isMixed: true });
    await uninstallOperator(requireCluster());
    await waitUntil("pods without a sidecar", async () => {
      const pods = await agent().pods();
      return pods.length === 2 && !pods.some(isInjected);
    });
    await agent().waitForRollout();
    expect((await load.stop()).failures).toEqual([]);
    // One rollout: no operator has stamped again what was just restored.
    expect(await revision()).toBe(before + 1);
    await agent().kubectl("delete", "durableagent", agent().name, "--timeout=20s");
  });
});
