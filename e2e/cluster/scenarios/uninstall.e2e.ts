import { afterAll, beforeAll, expect, it } from "vitest";
import { waitUntil } from "../node/wait.ts";
import { type AgentUnderTest, isInjected, startAgent } from "./support/agent-under-test.ts";
import { clusterAccess, requireCluster } from "./support/cluster-access.ts";
import { installOperator, uninstallOperator } from "./support/installation.ts";
import { type LoadReport, startLoad } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";

async function revisionOf(agent: AgentUnderTest): Promise<number> {
  const path = "jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}";
  return Number(await agent.kubectl("get", agent.resource, "-o", path));
}

describeAgent("the chart is removed first", { isProtected: true, obeysSignals: false }, (agent) => {
  // Its Service is led to the sidecars by its targetPort, the other one's by the name of the port.
  let numbered: AgentUnderTest;
  beforeAll(async () => {
    if (clusterAccess === undefined) return;
    numbered = await startAgent({ targetPort: "number", obeysSignals: false });
    await numbered.protect();
  });
  afterAll(async () => {
    if (clusterAccess === undefined) return;
    await installOperator(requireCluster());
    await numbered.remove();
  });

  it("K15: workloads run on without sidecars, no request fails, and the resources can be deleted", async () => {
    const agents = [agent(), numbered];
    const before = await Promise.all(agents.map(revisionOf));
    const options = { isMixed: true, callsPerSecond: 25, longCallMs: 8_000, streams: 5 };
    const loads = agents.map(({ endpoint }) => startLoad(endpoint, options));
    await uninstallOperator(requireCluster());
    for (const each of agents) {
      await waitUntil("pods without a sidecar", async () => {
        const pods = await each.pods();
        return pods.length === 2 && !pods.some(isInjected);
      });
      await each.waitForRollout();
    }
    const reports: readonly LoadReport[] = await Promise.all(loads.map((load) => load.stop()));
    expect(reports.map(({ failures }) => failures)).toEqual([[], []]);
    // One rollout each: no operator has stamped again what was just restored.
    expect(await Promise.all(agents.map(revisionOf))).toEqual(before.map((revision) => revision + 1));
    for (const each of agents) await each.kubectl("delete", "durableagent", each.name, "--timeout=20s");
  });
});
