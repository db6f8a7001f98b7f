/** Small clusters for tests of the plan, and what a plan makes of them. */
import { ANNOTATIONS, LABELS } from "@durable-agent/crds/contract";
import type { DurableAgentSpec } from "@durable-agent/crds/durable-agent";
import type { Pod, Service, Workload } from "../../src/kubernetes/objects.ts";
import { finalizer } from "../../src/reconcile/names.ts";
import { buildOwnSecret } from "../../src/reconcile/own-secret.ts";
import { steppedPorts } from "../../src/reconcile/traffic.ts";
import type { Action, Plan, World } from "../../src/reconcile/world.ts";
import { durableAgent } from "./durable-agents.ts";

/** The time in every world. */
export const now = new Date("2026-01-02T03:04:05Z");

const labels = { app: "researcher" };

/** A Deployment of two replicas whose agent listens on 8080, by name where one is given. */
export function workload(
  options: { portName?: string; kind?: string; template?: Partial<Workload["spec"]["template"]["spec"]> } = {},
): Workload {
  const { portName } = options;
  return {
    apiVersion: "apps/v1",
    kind: options.kind ?? "Deployment",
    metadata: { name: "researcher", namespace: "agents", uid: "uid-of-workload", generation: 1 },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels: { ...labels } },
        spec: {
          containers: [
            { name: "agent", ports: [{ containerPort: 8080, ...(portName === undefined ? {} : { name: portName }) }] },
          ],
          ...options.template,
        },
      },
    },
    status: { observedGeneration: 1, replicas: 2, readyReplicas: 2, updatedReplicas: 2 },
  };
}

/** A running pod of that Deployment. */
export function pod(
  name: string,
  options: { injected?: "Service" | "NamedPort" | "PortEnv"; ready?: boolean; labelled?: boolean; ageMs?: number } = {},
): Pod {
  const { injected } = options;
  const marked = injected !== undefined || options.labelled === true;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "agents",
      creationTimestamp: new Date(now.getTime() - (options.ageMs ?? 0)).toISOString(),
      labels: { ...labels, ...(marked ? { [LABELS.agent]: "researcher" } : {}) },
      ...(injected === undefined ? {} : { annotations: { [ANNOTATIONS.injected]: "researcher" } }),
    },
    spec: {
      containers: [
        {
          name: "agent",
          ports: [
            { containerPort: 8080 },
            ...(injected === "Service" ? [{ name: "durable-a2a", containerPort: 15800 }] : []),
            ...(injected === "NamedPort" ? [{ name: "http", containerPort: 15800 }] : []),
          ],
        },
      ],
      ...(injected === undefined ? {} : { initContainers: [{ name: "durable-agent", restartPolicy: "Always" }] }),
    },
    status: { phase: "Running", conditions: [{ type: "Ready", status: options.ready === false ? "False" : "True" }] },
  };
}

/** A Service that selects those pods. */
export function service(
  targetPort: number | string,
  options: { name?: string; headless?: boolean; routed?: boolean } = {},
): Service {
  const routed = options.routed === true;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: options.name ?? "researcher",
      namespace: "agents",
      ...(routed
        ? {
            labels: { [LABELS.routedBy]: "researcher" },
            annotations: { [ANNOTATIONS.originalTargetPorts]: JSON.stringify({ 80: targetPort, web: targetPort }) },
          }
        : {}),
    },
    spec: {
      selector: labels,
      ...(options.headless === true ? { clusterIP: "None" } : { clusterIP: "10.0.0.1" }),
      ports: [{ name: "web", port: 80, protocol: "TCP", targetPort: routed ? "durable-a2a" : targetPort }],
    },
  };
}

/** A world around a DurableAgent called researcher. */
export function world(
  parts: Partial<Omit<World, "agent">> & { spec?: Parameters<typeof durableAgent>[0] } = {},
): World {
  const { spec: sketch, ...rest } = parts;
  return {
    agent: durableAgent(sketch),
    workload: workload(),
    rivals: [],
    peers: [],
    pods: [pod("a"), pod("b")],
    services: [service(8080)],
    networkPolicies: [],
    secrets: {},
    credentials: { databaseUrl: "postgresql://db/tasks", natsUrl: "nats://nats:4222" },
    freshSecretKey: "fresh-key",
    store: { status: "True", reason: "Connected", message: "the database answered" },
    relay: { status: "True", reason: "Connected", message: "the NATS server answered" },
    tasks: undefined,
    namespaceExcluded: false,
    sidecarVersion: "v1",
    upgradeSlotFree: true,
    now,
    ...rest,
  };
}

/** The world after a plan was carried out, as far as the operator's own writes go. */
export function carryOut(before: World, plan: Plan): World {
  return plan.actions.reduce(apply, structuredClone(before));
}

function apply(state: World, action: Action): World {
  const { agent } = state;
  switch (action.kind) {
    case "addFinalizer":
      agent.metadata.finalizers = [...(agent.metadata.finalizers ?? []), finalizer];
      return state;
    case "removeFinalizer":
      agent.metadata.finalizers = (agent.metadata.finalizers ?? []).filter((name) => name !== finalizer);
      return state;
    case "writeSecret": {
      const secret = buildOwnSecret(agent, action.data);
      state.secrets[secret.metadata.name ?? ""] = secret;
      return state;
    }
    case "writeStatus":
      agent.status = action.status;
      return state;
    case "stamp": {
      const metadata = state.workload?.spec.template.metadata;
      if (metadata === undefined) throw new Error("a plan stamps a workload that is not there");
      const { [LABELS.agent]: _label, ...otherLabels } = metadata.labels ?? {};
      const {
        [ANNOTATIONS.configHash]: _hash,
        [ANNOTATIONS.sidecarVersion]: _version,
        ...others
      } = metadata.annotations ?? {};
      const { stamp } = action;
      metadata.labels = stamp === undefined ? otherLabels : { ...otherLabels, [LABELS.agent]: stamp.agent };
      metadata.annotations =
        stamp === undefined
          ? others
          : {
              ...others,
              [ANNOTATIONS.configHash]: stamp.configHash,
              ...(stamp.sidecarVersion === undefined ? {} : { [ANNOTATIONS.sidecarVersion]: stamp.sidecarVersion }),
            };
      return state;
    }
    case "stepService": {
      const { step } = action;
      const routed = step.kind === "route";
      state.services = state.services.map((candidate) =>
        candidate.metadata.name === step.service.metadata.name
          ? {
              ...candidate,
              metadata: {
                ...candidate.metadata,
                labels: step.kind === "route" ? { [LABELS.routedBy]: step.routedBy } : {},
                annotations: routed ? { [ANNOTATIONS.originalTargetPorts]: JSON.stringify(step.originals) } : {},
              },
              spec: { ...candidate.spec, ports: steppedPorts(step) },
            }
          : candidate,
      );
      return state;
    }
    case "evictPod":
      state.pods = state.pods.filter((candidate) => candidate.metadata.name !== action.pod.metadata.name);
      return state;
  }
}

/** A spec sketch, for rows that only differ in it. */
export type SpecSketch = Partial<DurableAgentSpec>;
