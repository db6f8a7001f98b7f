/**
 * Puts every workload back without deleting a DurableAgent, so that the operator can be removed before the resources are:
 * Services, stamps, the wait for the pods, and last the finalizers, which nobody would remove afterwards.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { durableAgents } from "../kubernetes/resource-types.ts";
import type { Cluster } from "../ports/cluster.ts";
import { finalizer } from "../reconcile/names.ts";
import { planReconcile } from "../reconcile/plan.ts";
import { type Observer, observe } from "./observe.ts";
import { perform } from "./perform.ts";

/** What the removal works with. */
export interface UninstallOptions extends Observer {
  cluster: Cluster;
  namespaces: string[];
  deadlineMs: number;
  onProgress: (text: string) => void;
}

const pollMs = 1_000;

/** Resolves to the DurableAgents whose workloads could not be restored in time; empty: all were. */
export async function restoreAll(options: UninstallOptions): Promise<string[]> {
  const until = performance.now() + options.deadlineMs;
  let remaining = await listHeld(options);
  while (remaining.length > 0 && performance.now() < until) {
    for (const agent of remaining) await restoreOne(options, agent);
    remaining = await listHeld(options);
    if (remaining.length > 0) {
      options.onProgress(`${remaining.length} workloads still run with sidecars`);
      await delay(pollMs);
    }
  }
  return remaining.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
}

async function listHeld({ cluster, namespaces }: UninstallOptions): Promise<DurableAgent[]> {
  const places: { namespace?: string }[] =
    namespaces.length === 0 ? [{}] : namespaces.map((namespace) => ({ namespace }));
  const lists = await Promise.all(places.map((place) => cluster.list(durableAgents, place)));
  return lists.flat().filter((agent) => agent.metadata.finalizers?.includes(finalizer) === true);
}

/** Plans as if the DurableAgent were being deleted; the plan's last action lets go of it. */
async function restoreOne(options: UninstallOptions, { metadata }: DurableAgent): Promise<void> {
  const observed = await observe(options, { namespace: metadata.namespace, name: metadata.name });
  if (observed === undefined) return;
  const agent = {
    ...observed.agent,
    metadata: { ...observed.agent.metadata, deletionTimestamp: observed.now.toISOString() },
  };
  // Nobody inherits: the others are restored as well.
  const world = { ...observed, agent, rivals: [], peers: [], upgradeSlotFree: true };
  for (const action of planReconcile(world).actions)
    await perform(options.cluster, { ...world, agent: observed.agent }, action);
}
