import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LABELS } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { isWrite } from "../../../e2e/cluster/audit-log.ts";
import type { Pod } from "../../src/kubernetes/objects.ts";
import { deployments, durableAgents, pods } from "../../src/kubernetes/resource-types.ts";
import { hasSidecar } from "../../src/kubernetes/sidecar-facts.ts";
import { deployment, durableAgentFor, service } from "../support/agent-workloads.ts";
import {
  eventually,
  locateOperatorCluster,
  type OperatorCluster,
  playKubelet,
  type RunningOperator,
  startOperatorCluster,
} from "../support/operator-cluster.ts";

const located = locateOperatorCluster();
const title = located.kind === "found" ? "" : ` (${located.how})`;
const namespace = "agents";
const others = "others";

describe.skipIf(located.kind === "missing")(`an operator that watches one namespace${title}`, () => {
  let cluster: OperatorCluster;
  let kubelet: { stop(): Promise<void> };
  let operator: RunningOperator;

  beforeAll(async () => {
    cluster = await startOperatorCluster({ namespaces: [namespace, others], watchNamespaces: [namespace] });
    kubelet = playKubelet(cluster, namespace);
    operator = await cluster.startOperator("operator-1");
  });
  afterAll(async () => {
    await kubelet?.stop();
    await operator?.stop();
    await cluster?.stop();
  });

  const becomesReady = (name: string): Promise<DurableAgent> =>
    eventually(
      () => cluster.admin.read(durableAgents, { name, namespace }),
      (agent) => agent.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True",
      `${name} becomes ready`,
    );
  const listPods = (name: string, place = namespace): Promise<Pod[]> =>
    cluster.admin.list(pods, { namespace: place, labelSelector: `app=${name}` });
  const imagesOf = async (name: string): Promise<(string | undefined)[]> =>
    (await listPods(name)).map(
      (pod) => pod.spec.initContainers?.find(({ name: own }) => own === "durable-agent")?.image,
    );

  test("protects the agents there, with permissions there alone", async () => {
    await cluster.apply(deployment("researcher"), service("researcher", 8080), durableAgentFor("researcher"));
    await becomesReady("researcher");
    expect((await listPods("researcher")).map(hasSidecar)).toEqual([true, true]);
    const refused = (await cluster.operatorRequests()).filter(({ status }) => status === 403);
    expect(refused.map(({ verb, requestUri }) => `${verb} ${requestUri}`)).toEqual([]);
  });

  test("leaves other namespaces alone, and their labelled pods do not wait for it", async () => {
    await cluster.apply(deployment("elsewhere", { namespace: others }), durableAgentFor("elsewhere", {}, others));
    await cluster.apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "labelled", namespace: others, labels: { app: "loose", [LABELS.agent]: "elsewhere" } },
      spec: { containers: [{ name: "agent", image: "example.com/agent:1", ports: [{ containerPort: 8080 }] }] },
    });
    // A later DurableAgent in its own namespace is ready: whatever it wanted to do elsewhere is done.
    await cluster.apply(deployment("planner"), durableAgentFor("planner"));
    await becomesReady("planner");
    expect((await listPods("loose", others)).map(hasSidecar)).toEqual([false]);
    expect((await cluster.admin.read(durableAgents, { name: "elsewhere", namespace: others }))?.status).toBeUndefined();
    const touched = (await cluster.operatorRequests()).filter((entry) => entry.namespace === others);
    expect(touched).toEqual([]);
  });

  test("upgraded, it restarts the workloads that ask for it one after the other, and no other", async () => {
    const rolling = ["rolling-1", "rolling-2"];
    for (const name of rolling) {
      await cluster.apply(deployment(name), durableAgentFor(name, { upgrade: "Rolling" }));
      await becomesReady(name);
    }
    const before = await Promise.all(["researcher", ...rolling].map(imagesOf));
    expect(new Set(before.flat())).toEqual(new Set(["durable-agent-sidecar:test"]));
    await operator.stop();
    const upgradedAt = Date.now();
    operator = await cluster.startOperator("operator-2", { SIDECAR_IMAGE: "durable-agent-sidecar:next" });
    for (const name of rolling) {
      await eventually(
        () => imagesOf(name),
        (images) => images.length === 2 && images.every((image) => image === "durable-agent-sidecar:next"),
        `${name} runs with the new sidecar`,
        40_000,
      );
      await becomesReady(name);
    }
    const stamps = (await cluster.operatorRequests()).filter(
      (entry) => entry.at >= upgradedAt && isWrite(entry) && entry.resource === "apps/deployments",
    );
    expect(stamps.map(({ name }) => name).toSorted()).toEqual(rolling);
    // The second waits for the first one's pods.
    const [first, second] = stamps;
    const firstPods = await listPods(first?.name ?? "");
    const lastCreated = Math.max(...firstPods.map(({ metadata }) => Date.parse(metadata.creationTimestamp ?? "")));
    expect(second?.at).toBeGreaterThanOrEqual(lastCreated);
    expect(await imagesOf("researcher")).toEqual(before[0]);
    const untouched = await cluster.admin.read(deployments, { name: "researcher", namespace });
    expect(untouched?.metadata.generation).toBe(2);
  }, 120_000);
});
