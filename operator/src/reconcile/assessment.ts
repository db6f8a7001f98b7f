/** Whether the operator may touch a workload, and as what. */
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { type AgentTarget, findAgentTarget } from "../kubernetes/agent-target.ts";
import type { Workload } from "../kubernetes/objects.ts";
import { findObstacle } from "../kubernetes/pod-obstacle.ts";
import type { ConditionReason } from "../reasons.ts";
import { hashPodConfig } from "./config-hash.ts";
import { findBlockingPolicies } from "./network-policies.ts";
import { type AgentService, findAgentServices, resolveTrafficMode, type TrafficMode } from "./traffic.ts";
import { readStamp, type Stamp } from "./workload-state.ts";
import type { World } from "./world.ts";

/** A workload that can be stamped, or the reason why it is left alone. */
export type Assessment =
  | {
      kind: "clear";
      workload: Workload;
      target: AgentTarget;
      trafficMode: TrafficMode;
      services: AgentService[];
      /** NetworkPolicies that keep clients from the sidecar: while there are any, no more traffic is led to it. */
      blockingPolicies: string[];
      stamp: Stamp;
    }
  | { kind: "blocked"; reason: ConditionReason; message: string };

/** Assesses the workload of a DurableAgent that is not being deleted. */
export function assess(world: World): Assessment {
  const { agent, workload } = world;
  const { kind, name } = agent.spec.workload;
  const winner = findWinner(world);
  if (winner !== undefined) {
    const message = `the DurableAgent ${winner.metadata.name} is older and names the same ${kind} ${name}`;
    return { kind: "blocked", reason: "Conflict", message };
  }
  if (workload === undefined) {
    return { kind: "blocked", reason: "WorkloadNotFound", message: `there is no ${kind} ${name} in this namespace` };
  }
  if (world.namespaceExcluded) {
    const message = `the webhooks are not called for the namespace ${agent.metadata.namespace}, so its pods cannot get a sidecar`;
    return { kind: "blocked", reason: "NamespaceExcluded", message };
  }
  const { template } = workload.spec;
  const obstacle = findObstacle(template);
  if (obstacle !== undefined) return { kind: "blocked", ...obstacle };
  const search = findAgentTarget(template.spec.containers, agent.spec.agent);
  if (search.kind === "missing") return { kind: "blocked", reason: search.reason, message: search.message };
  const services = findAgentServices(world.services, template.metadata?.labels, search.target);
  const trafficMode = resolveTrafficMode(agent.spec.traffic.mode, {
    target: search.target,
    portEnv: agent.spec.agent.portEnv,
    services,
    current: readStamp(workload) === undefined ? undefined : agent.status?.target?.trafficMode,
  });
  return {
    kind: "clear",
    workload,
    target: search.target,
    trafficMode,
    services,
    blockingPolicies: findBlockingPolicies(world.networkPolicies, template.metadata?.labels, {
      target: search.target,
      trafficMode,
    }),
    stamp: planStamp(world, workload, trafficMode),
  };
}

/** The older of two DurableAgents has the workload; one that is being deleted gives it up. */
function findWinner({ agent, rivals }: World): DurableAgent | undefined {
  return rivals.find((rival) => rival.metadata.deletionTimestamp === undefined && isOlder(rival, agent));
}

function isOlder(one: DurableAgent, other: DurableAgent): boolean {
  const [a, b] = [one.metadata, other.metadata];
  return a.creationTimestamp === b.creationTimestamp ? a.name < b.name : a.creationTimestamp < b.creationTimestamp;
}

function planStamp(world: World, workload: Workload, trafficMode: TrafficMode): Stamp {
  const observed = readStamp(workload);
  const sidecarVersion = planSidecarVersion(world, observed);
  return {
    agent: world.agent.metadata.name,
    configHash: hashPodConfig(world.agent.spec, trafficMode),
    ...(sidecarVersion === undefined ? {} : { sidecarVersion }),
  };
}

/** With OnNextRollout the observed value stays whatever it is: even its removal would restart the pods. */
function planSidecarVersion(world: World, observed: Stamp | undefined): string | undefined {
  if (world.agent.spec.upgrade === "OnNextRollout") return observed?.sidecarVersion;
  if (observed === undefined || world.upgradeSlotFree) return world.sidecarVersion;
  return observed.sidecarVersion;
}
