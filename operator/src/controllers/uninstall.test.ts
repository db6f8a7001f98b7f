import { expect, test } from "vitest";
import { durableAgent } from "../../test/support/durable-agents.ts";
import { createMemoryCluster } from "../../test/support/memory-cluster.ts";
import { durableAgents } from "../kubernetes/resource-types.ts";
import { type Cluster, ClusterError } from "../ports/cluster.ts";
import { finalizer } from "../reconcile/names.ts";
import { restoreAll, type UninstallOptions } from "./uninstall.ts";

const options = {
  namespaces: [],
  credentials: () => ({}),
  findings: () => ({ store: undefined, relay: undefined, tasks: undefined }),
  sidecarVersion: "",
  excludedNamespaces: [],
  pollMs: 10,
  onProgress: () => undefined,
} satisfies Partial<UninstallOptions>;

/** DurableAgents whose workloads are gone, so that all there is to do is to let go of them. */
async function clusterWith(...names: string[]): Promise<Cluster> {
  const cluster = createMemoryCluster();
  for (const name of names) {
    await cluster.create(durableAgents, durableAgent({ name, metadata: { finalizers: [finalizer] } }));
  }
  return cluster;
}

async function heldIn(cluster: Cluster): Promise<string[]> {
  const agents = await cluster.list(durableAgents, {});
  return agents.filter(({ metadata }) => metadata.finalizers?.length).map(({ metadata }) => metadata.name);
}

test("a call that fails is made again", async () => {
  const cluster = await clusterWith("a", "b");
  let [lists, merges] = [0, 0];
  const flaky: Cluster = {
    ...cluster,
    list: async (...call) => {
      lists += 1;
      if (lists <= 2) throw new ClusterError("unavailable", "the API server is away");
      return await cluster.list(...call);
    },
    merge: async (...call) => {
      merges += 1;
      if (merges === 1) throw new ClusterError("conflict", "somebody else wrote");
      return await cluster.merge(...call);
    },
  };
  expect(await restoreAll({ ...options, cluster: flaky, deadlineMs: 20_000 })).toEqual([]);
  expect(await heldIn(cluster)).toEqual([]);
});

test("a workload that cannot be restored is named with its reason at the end, and the others are restored", async () => {
  const cluster = await clusterWith("stuck", "fine");
  const refusing: Cluster = {
    ...cluster,
    merge: async (type, reference, ...rest) => {
      if (reference.name === "stuck") throw new ClusterError("forbidden", "a policy says no");
      return await cluster.merge(type, reference, ...rest);
    },
  };
  expect(await restoreAll({ ...options, cluster: refusing, deadlineMs: 1_000 })).toEqual([
    { agent: "agents/stuck", reason: "a policy says no" },
  ]);
  expect(await heldIn(cluster)).toEqual(["stuck"]);
});

test("nothing is written any more once it is ended, and what is left is told", async () => {
  const cluster = await clusterWith("a");
  const signal = AbortSignal.abort();
  expect(await restoreAll({ ...options, cluster, deadlineMs: 20_000, signal })).toMatchObject([{ agent: "agents/a" }]);
  expect(await heldIn(cluster)).toEqual(["a"]);
});

test("an API server that stays away is told, and ends nothing early", async () => {
  const cluster = createMemoryCluster();
  cluster.away = true;
  expect(await restoreAll({ ...options, cluster, deadlineMs: 100 })).toEqual([
    { agent: "the DurableAgents", reason: "the API server is away" },
  ]);
});
