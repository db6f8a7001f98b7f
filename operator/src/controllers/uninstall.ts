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
  pollMs: number;
  /** Ends it before the deadline. What is left is told then as well. */
  signal?: AbortSignal;
  onProgress: (text: string) => void;
}

/** A DurableAgent whose workload could not be restored, and what is known of why. */
export interface Unrestored {
  agent: string;
  reason: string;
}

/**
 * Resolves to the DurableAgents whose workloads could not be restored in time; empty: all were. A call that fails is made
 * again until the deadline: one workload's trouble holds up no other, and an API server that is away comes back.
 */
export async function restoreAll(options: UninstallOptions): Promise<Unrestored[]> {
  const until = performance.now() + options.deadlineMs;
  const faults = new Map<string, string>();
  const attempt = async <T>(about: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      const result = await work();
      faults.delete(about);
      return result;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (faults.get(about) !== message) options.onProgress(`${about}: ${message}`);
      faults.set(about, message);
      return undefined;
    }
  };
  const everything = "the DurableAgents";
  let held: DurableAgent[] | undefined;
  while (true) {
    held = (await attempt(everything, () => listHeld(options))) ?? held;
    if (held?.length === 0) return [];
    if (performance.now() >= until) break;
    for (const agent of held ?? []) {
      if (options.signal?.aborted !== true) await attempt(nameOf(agent), () => restoreOne(options, agent));
    }
    if (options.signal?.aborted === true) break;
    if (held !== undefined) options.onProgress(`${held.length} workloads are not restored yet`);
    await delay(options.pollMs);
  }
  if (held === undefined) return [{ agent: everything, reason: faults.get(everything) ?? "" }];
  return held.map((agent) => ({ agent: nameOf(agent), reason: faults.get(nameOf(agent)) ?? readyMessage(agent) }));
}

function nameOf({ metadata }: DurableAgent): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** What the last round wrote into the status: how many pods are left, and what they wait for. */
function readyMessage({ status }: DurableAgent): string {
  return status?.conditions?.find(({ type }) => type === "Ready")?.message ?? "";
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
