/**
 * Keeps every DurableAgent true: observe → plan → perform, one key at a time. The plan is pure, so a round that finds
 * everything in place writes nothing.
 */
import { LABELS } from "@durable-agent/crds/contract";
import type { DurableAgent, DurableAgentStatus } from "@durable-agent/crds/durable-agent";
import type { KubernetesObject, Pod, Workload } from "../kubernetes/objects.ts";
import type { Cluster, ObjectCache } from "../ports/cluster.ts";
import type { EventRecorder } from "../ports/probes.ts";
import { passesByItself } from "../reconcile/conditions.ts";
import { planReconcile } from "../reconcile/plan.ts";
import { isRolledOut, readStamp } from "../reconcile/workload-state.ts";
import type { Action, Plan, Refusal, World } from "../reconcile/world.ts";
import { type Observer, observe } from "./observe.ts";
import { perform } from "./perform.ts";
import { findRefusal } from "./refusal.ts";
import type { Requeue } from "./work-queue.ts";

/** What the controller works with. */
export interface AgentControllerOptions extends Observer {
  cluster: Cluster;
  agents: ObjectCache<DurableAgent & KubernetesObject>;
  workloads: { get(kind: string, namespace: string, name: string): Workload | undefined };
  events: EventRecorder;
}

/** Even without news a DurableAgent is looked at this often, for what is not watched: Secrets, NetworkPolicies. */
const resyncMs = 300_000;

/** What blocks a DurableAgent may be mended where no watch tells of it; it is seen after this at the latest. */
const longestLookMs = 60_000;

/** A workload that was just stamped looks rolled out until its new generation has reached the watch. */
const upgradeBeginsMs = 5_000;

/** The handler of the queue, whose keys are `namespace/name`. */
export function createAgentController(options: AgentControllerOptions): (key: string) => Promise<Requeue> {
  /** The one workload that is being restarted for an upgrade (`upgrade: Rolling`). */
  let upgrading: { key: string; since: number } | undefined;

  const isSlotFree = (key: string): boolean => {
    if (upgrading === undefined || upgrading.key === key) return true;
    if (performance.now() - upgrading.since < upgradeBeginsMs) return false;
    const [namespace = "", name = ""] = upgrading.key.split("/");
    const holder = options.agents.get(namespace, name);
    const { kind = "", name: workloadName = "" } = holder?.spec.workload ?? {};
    const workload = options.workloads.get(kind, namespace, workloadName);
    return workload === undefined || isRolledOut(workload);
  };

  /** By key, what the last round was refused. */
  const refusals = new Map<string, Refusal>();
  const carryOut = async (key: string, world: World, action: Action): Promise<void> => {
    try {
      if (await perform(options.cluster, world, action)) report(options.events, world, action);
    } catch (error) {
      const refused = findRefusal(action, error, world.refused);
      if (refused !== undefined) refusals.set(key, refused);
      throw error;
    }
  };

  /** Looks in a row that found the same blocked DurableAgent and nothing to do. */
  const idleLooks = new Map<string, { version: string; count: number }>();

  const nextLook = ({ actions, requeueAfterMs, isBlocked }: Plan, key: string, { agent }: World): number => {
    const before = idleLooks.get(key);
    idleLooks.delete(key);
    if (requeueAfterMs === undefined) return resyncMs * (0.8 + Math.random() * 0.4);
    if (isBlocked !== true || actions.length > 0) return requeueAfterMs;
    const version = `${agent.metadata.uid}/${agent.metadata.generation}`;
    const count = before?.version === version ? before.count + 1 : 0;
    idleLooks.set(key, { version, count });
    return Math.min(requeueAfterMs * 2 ** count, longestLookMs);
  };

  return async (key) => {
    const [namespace = "", name = ""] = key.split("/");
    const observed = await observe(options, { namespace, name });
    if (observed === undefined) {
      refusals.delete(key);
      idleLooks.delete(key);
      return {};
    }
    const world: World = { ...observed, refused: refusals.get(key), upgradeSlotFree: isSlotFree(key) };
    const plan = planReconcile(world);
    if (plan.actions.some((action) => isUpgrade(action, world))) upgrading = { key, since: performance.now() };
    for (const action of plan.actions) await carryOut(key, world, action);
    // The status still speaks of it.
    if (refusals.delete(key)) return { requeueAfterMs: 0 };
    return { requeueAfterMs: nextLook(plan, key, world) };
  };
}

/** The DurableAgents that a change of a workload, Service or pod concerns, as keys. */
export function keysConcerning(agents: DurableAgent[], object: KubernetesObject): string[] {
  const { namespace, name, labels } = object.metadata;
  return agents
    .filter((agent) => agent.metadata.namespace === namespace)
    .filter((agent) => {
      if (object.kind === "Pod") return (object as Pod).metadata.labels?.[LABELS.agent] === agent.metadata.name;
      if (object.kind === "Service") return true;
      return (
        (agent.spec.workload.kind === object.kind && agent.spec.workload.name === name) ||
        labels?.[LABELS.agent] === agent.metadata.name
      );
    })
    .map((agent) => `${agent.metadata.namespace}/${agent.metadata.name}`);
}

function isUpgrade(action: Action, { workload }: World): boolean {
  if (action.kind !== "stamp" || workload === undefined) return false;
  const before = readStamp(workload);
  return (
    before !== undefined &&
    action.stamp?.sidecarVersion !== undefined &&
    before.sidecarVersion !== action.stamp.sidecarVersion
  );
}

function report(events: EventRecorder, { agent, workload }: World, action: Action): void {
  const about = {
    apiVersion: agent.apiVersion,
    kind: agent.kind,
    name: agent.metadata.name,
    namespace: agent.metadata.namespace,
    uid: agent.metadata.uid,
  };
  const normal = (reason: string, message: string): void => events.record(about, { type: "Normal", reason, message });
  switch (action.kind) {
    case "stamp":
      normal(
        action.stamp === undefined ? "Unstamped" : "Stamped",
        `${workload?.kind} ${workload?.metadata.name}: its pods will be replaced, ${action.stamp === undefined ? "without" : "with"} the sidecar`,
      );
      return;
    case "stepService":
      normal(
        action.step.kind === "route" ? "ServiceRouted" : "ServiceRestored",
        `Service ${action.step.service.metadata.name} leads to the ${action.step.kind === "route" ? "sidecar" : "agent"}`,
      );
      return;
    case "evictPod":
      normal("PodEvicted", `pod ${action.pod.metadata.name} ran without a sidecar`);
      return;
    case "writeStatus": {
      const ready = findReady(action.status);
      const before = findReady(agent.status);
      if (ready === undefined || (ready.status === before?.status && ready.reason === before.reason)) return;
      // Nobody has been asked yet: that is no news, and the answer will be.
      if (ready.status === "Unknown") return;
      const type = ready.status === "True" || passesByItself(ready.reason) ? "Normal" : "Warning";
      events.record(about, { type, reason: ready.reason, message: ready.message });
      return;
    }
    default:
  }
}

function findReady(
  status: DurableAgentStatus | undefined,
): { status: string; reason: string; message: string } | undefined {
  return status?.conditions?.find((condition) => condition.type === "Ready");
}
