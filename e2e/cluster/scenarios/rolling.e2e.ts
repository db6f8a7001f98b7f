import { expect, it } from "vitest";
import type { AgentUnderTest } from "./support/agent-under-test.ts";
import { apply, kubectl } from "./support/cluster-access.ts";
import { startCheckedStreams } from "./support/checked-streams.ts";
import { type LoadReport, startLoad } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";
import { systemNamespace } from "./support/stores.ts";

function expectUnharmed(report: LoadReport): void {
  expect(report.failures).toEqual([]);
  expect(report.calls).toBeGreaterThan(50);
  expect(report.streams).toBeGreaterThan(5);
}

/** A node that runs a pod of the agent and not the database, which has one place only. */
async function nodeToDrain(namespace: string): Promise<string> {
  const where = "jsonpath={.items[*].spec.nodeName}";
  const [dataNode] = (await kubectl(["get", "pods", "-n", systemNamespace, "-l", "app=postgres", "-o", where])).split(
    " ",
  );
  const nodes = (await kubectl(["get", "pods", "-n", namespace, "-o", where])).split(" ");
  const node = nodes.find((name) => name !== dataNode);
  if (node === undefined) throw new Error("every pod is beside the database; the cluster needs a second node");
  return node;
}

/** Without one, a drain ends all pods of the node at once, and nothing in a pod can help against that. */
function disruptionBudget(agent: AgentUnderTest): string {
  return JSON.stringify({
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: agent.name, namespace: agent.namespace },
    spec: { maxUnavailable: 1, selector: { matchLabels: { app: agent.name } } },
  });
}

// Shorter than the streams of the load: each pod that goes hands some of them over, and their readers come back elsewhere.
const protection = { drain: { gracePeriod: "4s" } };

describeAgent("pods are replaced on purpose, under load", { isProtected: protection }, (agent) => {
  it("K4: a rolling restart fails no request and no task, and loses, repeats and reorders no event", async () => {
    const load = startLoad(agent().endpoint, { longCallMs: 2_000, streamLength: 100 });
    const checked = await startCheckedStreams(agent());
    await agent().kubectl("rollout", "restart", agent().resource);
    await agent().waitForRollout();
    const report = await load.stop();
    expectUnharmed(report);
    expect(report.resumed).toBeGreaterThan(0);
    const { violations, streams, tasks } = await checked.stop();
    expect(violations).toEqual([]);
    expect(streams).toBeGreaterThan(3);
    expect(tasks).toBeGreaterThan(50);
  });

  it("K5: scaling to 5 and to 1 does neither", async () => {
    const load = startLoad(agent().endpoint, { longCallMs: 2_000, streamLength: 100 });
    await agent().kubectl("scale", agent().resource, "--replicas=5");
    await agent().waitForRollout();
    await agent().kubectl("scale", agent().resource, "--replicas=1");
    await agent().kubectl("wait", "--for=jsonpath={.status.replicas}=1", agent().resource, "--timeout=60s");
    expectUnharmed(await load.stop());
    await agent().kubectl("scale", agent().resource, "--replicas=4");
    await agent().waitForRollout();
  });

  it("K18: a drained node does neither", async () => {
    await apply(disruptionBudget(agent()));
    const node = await nodeToDrain(agent().namespace);
    const load = startLoad(agent().endpoint, { longCallMs: 2_000, streamLength: 100 });
    try {
      await kubectl(["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s"]);
      await agent().waitForRollout();
      expectUnharmed(await load.stop());
    } finally {
      await kubectl(["uncordon", node]);
    }
  });
});
