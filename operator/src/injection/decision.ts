/** Whether and how a pod gets a sidecar: a function of the pod, its DurableAgent and the server's version alone. */
import { PORTS } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { type AgentTarget, findAgentTarget, type TargetSearch } from "../kubernetes/agent-target.ts";
import type { JsonPatchOperation, Pod } from "../kubernetes/objects.ts";
import { diffJson } from "../kubernetes/json-patch.ts";
import { findObstacle } from "../kubernetes/pod-obstacle.ts";
import { allContainers, hasSidecar } from "../kubernetes/sidecar-facts.ts";
import type { RefuseReason, SkipReason } from "../reasons.ts";
import type { InjectionPlan, SidecarDefaults, TrafficMode } from "./injection-plan.ts";
import { injectSidecar } from "./pod-injection.ts";
import { planCredentials, type SecretKeys } from "./sidecar-credentials.ts";

/** What admission knows about one pod. */
export interface AdmissionInput {
  pod: Pod;
  /** The DurableAgent named by the pod's label; undefined: there is none. */
  agent: DurableAgent | undefined;
  /** First 8 hex digits of the kube-system namespace's uid: keeps clusters that share a database apart. */
  clusterId: string;
  server: { major: number; minor: number };
  defaults: SidecarDefaults;
  ownSecret: string;
  secrets: SecretKeys[];
  /** Minted for this pod; unused when the pod is not injected. */
  drainToken: string;
}

/** What happens to the pod. */
export type InjectionDecision =
  | { kind: "inject"; plan: InjectionPlan; keepsPreStop: boolean }
  | { kind: "skip"; reason: SkipReason; message: string }
  | { kind: "refuse"; reason: RefuseReason; message: string };

/** Native sidecars are on by default from 1.29. */
const nativeSidecarMinor = 29;
/** Where an agent that reads its port from a variable is moved to: the first of these that is free. */
const movedAgentPorts = { first: 15810, last: 15899 };

/** Decides about one pod. Deciding again about the result is always `AlreadyInjected`. */
export function decideInjection(input: AdmissionInput): InjectionDecision {
  const { pod, agent } = input;
  if (hasSidecar(pod)) return { kind: "skip", reason: "AlreadyInjected", message: "the sidecar is there already" };
  if (agent === undefined) {
    return {
      kind: "skip",
      reason: "AgentGone",
      message: "its DurableAgent does not exist; the pod starts without a sidecar",
    };
  }
  const obstacle = findObstacle(pod);
  if (obstacle !== undefined) return { kind: "skip", ...obstacle };
  const native = input.server.major > 1 || input.server.minor >= nativeSidecarMinor;
  if (!native && isToEnd(pod)) {
    return {
      kind: "skip",
      reason: "NoNativeSidecar",
      message: "it could never complete beside a plain container; servers from 1.29 give such pods a sidecar",
    };
  }
  const search = resolveTarget(pod, agent);
  if (search.kind === "missing") return { kind: "refuse", reason: search.reason, message: search.message };
  const credentials = planCredentials(input.ownSecret, agent.spec, input.secrets);
  if (credentials.kind === "missing") {
    return { kind: "refuse", reason: credentials.reason, message: credentials.message };
  }
  const trafficMode = resolveTrafficMode(agent, search.target);
  const ports = placeListeners(pod, search.target, trafficMode);
  if (ports === undefined) {
    return {
      kind: "skip",
      reason: "PortTaken",
      message: "no port from 15810 to 15899 is free for the agent to move to",
    };
  }
  const container = pod.spec.containers.find((candidate) => candidate.name === search.target.container);
  return {
    kind: "inject",
    keepsPreStop: container?.lifecycle?.preStop !== undefined,
    plan: {
      agentName: agent.metadata.name,
      agentKey: `${input.clusterId}/${agent.metadata.namespace}/${agent.metadata.name}`,
      spec: agent.spec,
      target: search.target,
      trafficMode,
      native,
      defaults: input.defaults,
      credentials: credentials.files,
      drainToken: input.drainToken,
      ports,
    },
  };
}

/** The admission patch of a decision; empty unless it is to inject. */
export function buildPodPatch(pod: Pod, decision: InjectionDecision): JsonPatchOperation[] {
  return decision.kind === "inject" ? diffJson(pod, injectSidecar(pod, decision.plan)) : [];
}

/** Pods of Jobs, and bare ones of their kind: they complete once all their containers have ended. */
function isToEnd({ spec }: Pod): boolean {
  return spec.restartPolicy === "Never" || spec.restartPolicy === "OnFailure";
}

/** The controller's choice, made from the workload's template, holds: other webhooks may have added containers since. */
function resolveTarget(pod: Pod, agent: DurableAgent): TargetSearch {
  const resolved = agent.status?.target;
  const wanted = agent.spec.agent;
  const container = wanted.container ?? resolved?.container;
  const known = pod.spec.containers.some((candidate) => candidate.name === container);
  const port = wanted.port ?? (known ? portInPod(pod, resolved) : undefined);
  return findAgentTarget(pod.spec.containers, {
    ...(container === undefined || (!known && wanted.container === undefined) ? {} : { container }),
    ...(port === undefined ? {} : { port }),
  });
}

function portInPod(pod: Pod, resolved: AgentTarget | undefined): number | string | undefined {
  if (resolved === undefined) return undefined;
  const container = pod.spec.containers.find((candidate) => candidate.name === resolved.container);
  const named = container?.ports?.some((port) => port.name !== undefined && port.name === resolved.portName) ?? false;
  if (named) return resolved.portName;
  return container?.ports?.some((port) => port.containerPort === resolved.port) === true ? resolved.port : undefined;
}

/** A pod whose port has no name cannot take part in NamedPort; numbered Services still reach its agent. */
function resolveTrafficMode(agent: DurableAgent, target: AgentTarget): TrafficMode {
  const { mode } = agent.spec.traffic;
  const resolved = agent.status?.target?.trafficMode ?? (mode === "Auto" ? "Service" : mode);
  return resolved === "NamedPort" && target.portName === undefined ? "Service" : resolved;
}

function placeListeners(
  pod: Pod,
  target: AgentTarget,
  trafficMode: TrafficMode,
): { sidecar: number; agent: number } | undefined {
  if (trafficMode !== "PortEnv") return { sidecar: PORTS.a2a, agent: target.port };
  const used = new Set(
    allContainers(pod).flatMap((container) => (container.ports ?? []).map((port) => port.containerPort)),
  );
  for (let port = movedAgentPorts.first; port <= movedAgentPorts.last; port += 1) {
    if (!used.has(port)) return { sidecar: target.port, agent: port };
  }
  return undefined;
}
