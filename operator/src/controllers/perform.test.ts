import { expect, test } from "vitest";
import { createMemoryCluster } from "../../test/support/memory-cluster.ts";
import { pod, world } from "../../test/support/worlds.ts";
import { type Cluster, ClusterError, type ClusterFault } from "../ports/cluster.ts";
import { perform } from "./perform.ts";

function evicting(fault?: ClusterFault): Cluster {
  return {
    ...createMemoryCluster(),
    evict: () => (fault === undefined ? Promise.resolve() : Promise.reject(new ClusterError(fault, "refused"))),
  };
}

test.each<[title: string, fault: ClusterFault | undefined, done: boolean]>([
  ["that is granted is done", undefined, true],
  ["that a disruption budget does not allow now is not", "tooManyRequests", false],
  ["of a pod that is gone is not", "notFound", false],
])("an eviction %s", async (_title, fault, done) => {
  expect(await perform(evicting(fault), world(), { kind: "evictPod", pod: pod("a") })).toBe(done);
});

test("an eviction that is refused for good is an error", async () => {
  const refused = perform(evicting("forbidden"), world(), { kind: "evictPod", pod: pod("a") });
  await expect(refused).rejects.toThrow(ClusterError);
});
