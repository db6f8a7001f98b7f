import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { expect, test } from "vitest";
import { durableAgent } from "../../test/support/durable-agents.ts";
import { createMemoryCluster } from "../../test/support/memory-cluster.ts";
import { deployments, durableAgents } from "../kubernetes/resource-types.ts";
import type { Cluster } from "../ports/cluster.ts";
import { createAgentController } from "./agent-controller.ts";

test("a DurableAgent that stays blocked is looked at ever more rarely, and at once anew when its spec changes", async () => {
  const workload = {
    kind: "Deployment",
    metadata: { name: "researcher", namespace: "agents", uid: "uid-of-workload" },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: "researcher" } },
      template: { metadata: { labels: { app: "researcher" } }, spec: { containers: [{ name: "a" }, { name: "b" }] } },
    },
  };
  const agent = durableAgent();
  const cluster = {
    ...createMemoryCluster(),
    read: (type: unknown) =>
      Promise.resolve(type === durableAgents ? structuredClone(agent) : type === deployments ? workload : undefined),
    list: () => Promise.resolve([]),
    apply: (_type: unknown, { status }: { status?: DurableAgent["status"] }) => {
      if (status !== undefined) agent.status = status;
      return Promise.resolve();
    },
  };
  const look = createAgentController({
    cluster: cluster as unknown as Cluster,
    agents: { get: () => undefined } as never,
    workloads: { get: () => undefined },
    events: { record: () => undefined, flush: () => Promise.resolve() },
    credentials: () => ({ databaseUrl: undefined, natsUrl: undefined }) as never,
    findings: () => ({ store: undefined, relay: undefined, tasks: undefined }),
    sidecarVersion: "1",
    excludedNamespaces: [],
  });
  const delays: (number | undefined)[] = [];
  for (let round = 0; round < 12; round++) delays.push((await look("agents/researcher")).requeueAfterMs);
  expect(delays[0]).toBe(5_000);
  expect(delays.at(-1)).toBe(60_000);
  expect(delays).toEqual(delays.toSorted((one = 0, other = 0) => one - other));
  agent.metadata.generation = 2;
  expect((await look("agents/researcher")).requeueAfterMs).toBe(5_000); // writes the status
});
