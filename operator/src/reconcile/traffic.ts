/** Which traffic mode a workload gets, and what each of its Services needs for it. */
import { ANNOTATIONS, LABELS, PORT_NAME } from "@durable-agent/crds/contract";
import type { AgentTarget } from "../kubernetes/agent-target.ts";
import type { Pod, Service, ServicePort } from "../kubernetes/objects.ts";
import { findNamedPort, isLeaving, isReady } from "../kubernetes/sidecar-facts.ts";
import { serviceSelects } from "./selection.ts";

/** A traffic mode in force. */
export type TrafficMode = "NamedPort" | "Service" | "PortEnv";

/** targetPorts of a Service before the operator changed them, by port name or number. */
export type OriginalTargetPorts = Record<string, number | string>;

/** A Service that leads to the agent. */
export interface AgentService {
  service: Service;
  headless: boolean;
  /** Entries that lead, or led before they were changed, to the agent's port. */
  entries: { port: ServicePort; original: number | string }[];
}

/** The Services that lead to the agent's port on pods with these labels. */
export function findAgentServices(
  services: Service[],
  labels: Record<string, string> | undefined,
  target: AgentTarget,
): AgentService[] {
  return services.flatMap((service) => {
    if (!serviceSelects(service.spec.selector, labels)) return [];
    const originals = readOriginals(service);
    const headless = service.spec.clusterIP === "None";
    const entries = (service.spec.ports ?? [])
      .map((port) => ({ port, original: originals[entryKey(port)] ?? port.targetPort ?? port.port }))
      .filter(({ port, original }) => (port.protocol ?? "TCP") === "TCP" && leadsTo(original, target));
    // DNS of a headless Service without ports leads to the pods all the same.
    const bare = headless && (service.spec.ports ?? []).length === 0;
    return entries.length > 0 || bare ? [{ service, headless, entries }] : [];
  });
}

/** The mode for a workload: the user's, or for Auto the one that edits least. */
export function resolveTrafficMode(
  wanted: "Auto" | TrafficMode,
  context: { target: AgentTarget; portEnv: string | undefined; services: AgentService[] },
): TrafficMode {
  if (wanted !== "Auto") return wanted;
  if (namedPortObstacle(context.target, context.services) === undefined) return "NamedPort";
  return context.portEnv === undefined ? "Service" : "PortEnv";
}

/** Why NamedPort cannot be, or undefined. */
export function namedPortObstacle(target: AgentTarget, services: AgentService[]): string | undefined {
  if (target.portName === undefined) return `port ${target.port} of container ${target.container} has no name`;
  for (const { service, headless, entries } of services) {
    if (headless) return `the Service ${service.metadata.name} is headless`;
    const other = entries.find(({ original }) => original !== target.portName);
    if (other !== undefined) return `the Service ${service.metadata.name} uses targetPort ${other.original}`;
  }
  return undefined;
}

/** What a Service needs. */
export type ServiceStep =
  | { kind: "route"; service: Service; originals: OriginalTargetPorts }
  | { kind: "restore"; service: Service; originals: OriginalTargetPorts };

/**
 * What to do with one Service in mode Service. It is routed once every pod that it selects can take the traffic, and put
 * back as soon as a ready one cannot: a named targetPort leaves such a pod without traffic, so nothing fails in between.
 */
export function planService(agentService: AgentService, pods: Pod[], agentName: string): ServiceStep | undefined {
  const { service, entries } = agentService;
  const selected = pods.filter((pod) => serviceSelects(service.spec.selector, pod.metadata.labels) && !isLeaving(pod));
  const lacks = (pod: Pod): boolean => findNamedPort(pod, PORT_NAME) === undefined;
  if (selected.some((pod) => isReady(pod) && lacks(pod))) return planRestore(service);
  if (selected.length === 0 || selected.some(lacks)) return undefined;
  const originals = Object.fromEntries(entries.map(({ port, original }) => [entryKey(port), original]));
  const done =
    entries.every(({ port }) => port.targetPort === PORT_NAME) &&
    service.metadata.labels?.[LABELS.routedBy] === agentName &&
    JSON.stringify(readOriginals(service)) === JSON.stringify(originals);
  return done ? undefined : { kind: "route", service, originals };
}

/** Puts a routed Service back; undefined where the operator has changed nothing. */
export function planRestore(service: Service): ServiceStep | undefined {
  const marked =
    service.metadata.labels?.[LABELS.routedBy] !== undefined ||
    service.metadata.annotations?.[ANNOTATIONS.originalTargetPorts] !== undefined;
  return marked ? { kind: "restore", service, originals: readOriginals(service) } : undefined;
}

/** The Service's ports after a step, whole: a strategic merge would need the port number as a key and lose it on a change. */
export function steppedPorts(step: ServiceStep): ServicePort[] {
  return (step.service.spec.ports ?? []).map((port) => {
    const original = step.originals[entryKey(port)];
    if (original === undefined) return port;
    if (step.kind === "route") return { ...port, targetPort: PORT_NAME };
    return port.targetPort === PORT_NAME ? { ...port, targetPort: original } : port;
  });
}

/** The targetPorts noted on a routed Service; text that is not ours counts as none. */
export function readOriginals(service: Service): OriginalTargetPorts {
  const text = service.metadata.annotations?.[ANNOTATIONS.originalTargetPorts];
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return {};
    return Object.fromEntries(
      Object.entries(value).filter(([, port]) => typeof port === "number" || typeof port === "string"),
    ) as OriginalTargetPorts;
  } catch {
    return {};
  }
}

/** A Service's ports have names where there are several; a single one may have none. */
export function entryKey(port: ServicePort): string {
  return port.name ?? String(port.port);
}

function leadsTo(targetPort: number | string, target: AgentTarget): boolean {
  return targetPort === target.port || (target.portName !== undefined && targetPort === target.portName);
}

/**
 * A routed Service as it should be stored when somebody writes it: entries that got their own targetPort back lead to the
 * sidecar again, and an entry that got another one is the user's from then on. Without our note nothing changes, so the
 * operator's own restoring, which removes the note, passes.
 */
export function keepRouted(service: Service): Service {
  const originals = readOriginals(service);
  if (Object.keys(originals).length === 0) return service;
  const ports = service.spec.ports ?? [];
  const kept: OriginalTargetPorts = {};
  for (const port of ports) {
    const key = entryKey(port);
    const original = originals[key];
    if (original !== undefined && (port.targetPort === original || port.targetPort === PORT_NAME)) kept[key] = original;
  }
  return {
    ...service,
    metadata: {
      ...service.metadata,
      annotations: { ...service.metadata.annotations, [ANNOTATIONS.originalTargetPorts]: JSON.stringify(kept) },
    },
    spec: {
      ...service.spec,
      ports: ports.map((port) => (kept[entryKey(port)] === undefined ? port : { ...port, targetPort: PORT_NAME })),
    },
  };
}
