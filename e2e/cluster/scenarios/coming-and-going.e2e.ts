import { expect, it } from "vitest";
import { waitUntil } from "../node/wait.ts";
import { isInjected } from "./support/agent-under-test.ts";
import { requireCluster } from "./support/cluster-access.ts";
import { installOperator } from "./support/installation.ts";
import { startLoad } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";

// Before it is protected, only an agent that goes on serving after SIGTERM fails no request of a rollout, and no stream that
// is shorter than its grace.
// Shorter than a stream of the load, so that some are cut and resume while all pods have a sidecar. From the change of the
// configuration on it is the default, longer than any: where sidecars go for good a stream has nowhere to resume.
const shortDrain = { drain: { gracePeriod: "4s" } };

describeAgent("a DurableAgent comes, changes and goes under load", { obeysSignals: false }, (agent) => {
  it("K1: all pods of a running Deployment are injected, its traffic is routed, and no request fails", async () => {
    const load = startLoad(agent().endpoint, { isMixed: true, longCallMs: 8_000 });
    await agent().protect(shortDrain);
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.calls).toBeGreaterThan(50);
    expect(report.streams).toBeGreaterThan(5);
    const pods = await agent().pods();
    expect(pods).toHaveLength(2);
    expect(pods.every(isInjected)).toBe(true);
  });

  it("K17: a change of configuration replaces all pods and fails no request", async () => {
    const before = (await agent().pods()).map((pod) => pod.metadata.uid);
    const load = startLoad(agent().endpoint, { longCallMs: 2_000, streamLength: 100 });
    await agent().protect({ sidecar: { logLevel: "debug" } });
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.resumed).toBeGreaterThan(0);
    expect((await agent().pods()).filter((pod) => before.includes(pod.metadata.uid))).toEqual([]);
  });

  it("K17: an undone rollout is done again, and no request fails", async () => {
    const load = startLoad(agent().endpoint, { isMixed: true, longCallMs: 8_000 });
    await agent().undoRollout();
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect((await agent().pods()).every(isInjected)).toBe(true);
  });

  it("K17: an upgraded operator restarts no workload and fails no request", async () => {
    const before = (await agent().pods()).map((pod) => pod.metadata.uid).toSorted();
    const load = startLoad(agent().endpoint, { longCallMs: 8_000 });
    await installOperator(requireCluster());
    await agent().waitUntilProtected();
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect((await agent().pods()).map((pod) => pod.metadata.uid).toSorted()).toEqual(before);
  });

  it("K11: deleting the DurableAgent leaves the Deployment as it was, and no request fails", async () => {
    const load = startLoad(agent().endpoint, { isMixed: true, longCallMs: 8_000 });
    await agent().kubectl("delete", "durableagent", agent().name, "--timeout=120s");
    await waitUntil("pods without a sidecar", async () => {
      const pods = await agent().pods();
      return pods.length === 2 && !pods.some(isInjected);
    });
    await agent().waitForRollout();
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    const template = await agent().kubectl("get", agent().resource, "-o", "jsonpath={.spec.template.metadata}");
    expect(template).not.toContain("durable-agent.dev");
    const service = ["get", "service", agent().name, "-o", "jsonpath={.spec.ports[0].targetPort}"];
    expect(await agent().kubectl(...service)).toBe("a2a");
  });
});
