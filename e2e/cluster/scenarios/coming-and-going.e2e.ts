import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { waitUntil } from "../node/wait.ts";
import { type AgentUnderTest, isInjected, startAgent } from "./support/agent-under-test.ts";
import { clusterAccess } from "./support/cluster-access.ts";
import { keepDiagnostics } from "./support/diagnostics.ts";
import { startLoad } from "./support/load.ts";

describe.skipIf(clusterAccess === undefined)("a DurableAgent comes and goes under load", () => {
  let agent: AgentUnderTest;

  beforeAll(async () => {
    // Before it is protected, only an agent that goes on serving after SIGTERM fails no request of a rollout.
    agent = await startAgent({ obeysSignals: false });
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") await keepDiagnostics(task.name, agent.namespace);
  });
  afterAll(async () => await agent?.remove());

  it("K1: all pods of a running Deployment are injected, its traffic is routed, and no request fails", async () => {
    const load = startLoad(agent.endpoint, { streams: 0 });
    await agent.protect();
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.calls).toBeGreaterThan(50);
    const pods = await agent.pods();
    expect(pods).toHaveLength(2);
    expect(pods.every(isInjected)).toBe(true);
  });

  it("K17: a change of configuration fails no request", async () => {
    const before = (await agent.pods()).map((pod) => pod.metadata.uid);
    const load = startLoad(agent.endpoint);
    await agent.protect({ sidecar: { logLevel: "debug" } });
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect((await agent.pods()).filter((pod) => before.includes(pod.metadata.uid))).toEqual([]);
  });

  it("K11: deleting the DurableAgent leaves the Deployment as it was, and no request fails", async () => {
    const load = startLoad(agent.endpoint, { streams: 0 });
    await agent.kubectl("delete", "durableagent", agent.name, "--timeout=120s");
    await waitUntil("pods without a sidecar", async () => {
      const pods = await agent.pods();
      return pods.length === 2 && !pods.some(isInjected);
    });
    await agent.waitForRollout();
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    const template = await agent.kubectl("get", agent.resource, "-o", "jsonpath={.spec.template.metadata}");
    expect(template).not.toContain("durable-agent.dev");
    const port = await agent.kubectl("get", "service", agent.name, "-o", "jsonpath={.spec.ports[0].targetPort}");
    expect(port).toBe("a2a");
  });
});
