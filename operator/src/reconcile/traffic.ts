/** Which traffic mode a workload gets, and what each of its Services needs for it. */
import { isDeepStrictEqual } from "node:util";
import { ANNOTATIONS, LABELS, PORT_NAME } from "@durable-agent/crds/contract";
import type { AgentTarget } from "../kubernetes/agent-target.ts";
import type { Pod, Service, ServicePort } from "../kubernetes/objects.ts";
import { findNamedPort, isLeaving, isReady, labelledAgent } from "../kubernetes/sidecar-facts.ts";
import { serviceSelects } from "./selection.ts";

/** A traffic mode in force. */
export type TrafficMode = "NamedPort" | "Service" | "PortEnv";

/**
 * targetPorts of a Service before the operator changed them, each by the port's name and by its number: a port is named
 * when a second one is added, and one that is renumbered keeps its name.
 */
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
      .map((port) => ({ port, original: findOriginal(port, originals, target.port) ?? port.targetPort ?? port.port }))
      .filter(({ port, original }) => isTcp(port) && leadsTo(original, target));
    // DNS of a headless Service without ports leads to the pods all the same.
    const bare = headless && (service.spec.ports ?? []).length === 0;
    return entries.length > 0 || bare ? [{ service, headless, entries }] : [];
  });
}

/** Every entry that leads to the agent's port leads to the sidecar. */
export function isRouted({ entries }: AgentService): boolean {
  return entries.every(({ port }) => port.targetPort === PORT_NAME);
}

/**
 * The mode for a workload: the user's, or for Auto the one that edits least. The mode in force stays as long as it works:
 * another one replaces every pod, and a Service that is deleted may come back.
 */
export function resolveTrafficMode(
  wanted: "Auto" | TrafficMode,
  context: {
    target: AgentTarget;
    portEnv: string | undefined;
    services: AgentService[];
    /** The mode of the pods that run; undefined: the workload is not stamped. */
    current: TrafficMode | undefined;
  },
): TrafficMode {
  if (wanted !== "Auto") return wanted;
  const { current, portEnv, services } = context;
  if (current === "PortEnv" && portEnv !== undefined) return current;
  // With portEnv known, mode Service is none that Auto would choose.
  if (current === "Service" && portEnv === undefined && !services.some(({ headless }) => headless)) return current;
  if (namedPortObstacle(context.target, services) === undefined) return "NamedPort";
  return portEnv === undefined ? "Service" : "PortEnv";
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
  | { kind: "route"; service: Service; originals: OriginalTargetPorts; routedBy: string }
  | { kind: "restore"; service: Service; originals: OriginalTargetPorts };

/**
 * What to do with one Service in mode Service. It is routed once every pod that it selects can take the traffic, and put
 * back as soon as a ready one cannot: a named targetPort leaves such a pod without traffic, so nothing fails in between.
 */
export function planService(
  agentService: AgentService,
  pods: Pod[],
  { agentName, agentPort, peers }: { agentName: string; agentPort: number | undefined; peers: string[] },
): ServiceStep | undefined {
  const { service, entries } = agentService;
  const selected = selectedPods(service, pods);
  if (hasReadyWithoutPort(selected)) return planRestore(service, agentPort);
  if (selected.length === 0 || selected.some(lacksPort)) return undefined;
  const originals = noteOriginals(service, entries);
  const done =
    isRouted(agentService) &&
    [agentName, ...findProtectors(selected, peers)].includes(service.metadata.labels?.[LABELS.routedBy] ?? "") &&
    isDeepStrictEqual(readOriginals(service), originals);
  return done ? undefined : { kind: "route", service, originals, routedBy: agentName };
}

/** The peers whose sidecars are behind a Service. It bears the name of one of them, or they would rewrite it in turns. */
function findProtectors(selected: Pod[], peers: string[]): string[] {
  const protecting = new Set(
    selected.filter((pod) => findNamedPort(pod, PORT_NAME) !== undefined).map((pod) => labelledAgent(pod)),
  );
  return peers.filter((name) => protecting.has(name));
}

/** What becomes of a routed Service whose DurableAgent goes: a peer whose pods need it as it is takes it over. */
export function planRelease(
  service: Service,
  pods: Pod[],
  { agentPort, peers }: { agentPort: number | undefined; peers: string[] },
): ServiceStep | undefined {
  const selected = selectedPods(service, pods);
  const [heir] = hasReadyWithoutPort(selected) ? [] : findProtectors(selected, peers);
  if (heir === undefined) return planRestore(service, agentPort);
  return { kind: "route", service, originals: noteOriginals(service, []), routedBy: heir };
}

/** The pods that a Service leads to, now or when they are ready. */
export function selectedPods(service: Service, pods: Pod[]): Pod[] {
  return pods.filter((pod) => serviceSelects(service.spec.selector, pod.metadata.labels) && !isLeaving(pod));
}

function hasReadyWithoutPort(selected: Pod[]): boolean {
  return selected.some((pod) => isReady(pod) && lacksPort(pod));
}

/** A Service that leads to the sidecar gives this pod no traffic. */
export function lacksPort(pod: Pod): boolean {
  return findNamedPort(pod, PORT_NAME) === undefined;
}

/** The note of a routed Service: entries of this agent, and those of others that share the Service as they were noted. */
function noteOriginals(service: Service, entries: AgentService["entries"]): OriginalTargetPorts {
  const noted = readOriginals(service);
  const note: OriginalTargetPorts = {};
  for (const port of service.spec.ports ?? []) {
    const own = entries.find((entry) => entry.port === port)?.original;
    const original = own ?? (port.targetPort === PORT_NAME ? findOriginal(port, noted) : undefined);
    if (original !== undefined) Object.assign(note, noteFor(port, original));
  }
  return note;
}

/**
 * Puts a routed Service back; undefined where the operator has changed nothing. With the agent's port for entries that
 * nobody noted; where not even that is known the marks stay, for without them nobody would find the Service again.
 */
export function planRestore(service: Service, agentPort: number | undefined): ServiceStep | undefined {
  const marked =
    service.metadata.labels?.[LABELS.routedBy] !== undefined ||
    service.metadata.annotations?.[ANNOTATIONS.originalTargetPorts] !== undefined;
  if (!marked) return undefined;
  const noted = readOriginals(service);
  const routed = (service.spec.ports ?? []).filter((port) => isTcp(port) && port.targetPort === PORT_NAME);
  const originals: OriginalTargetPorts = {};
  for (const port of routed) {
    const original = findOriginal(port, noted, agentPort);
    if (original === undefined) return undefined;
    Object.assign(originals, noteFor(port, original));
  }
  return { kind: "restore", service, originals };
}

/** The Service's ports after a step, whole: a strategic merge would need the port number as a key and lose it on a change. */
export function steppedPorts(step: ServiceStep): ServicePort[] {
  return (step.service.spec.ports ?? []).map((port) => {
    const original = lookUp(port, step.originals);
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

/**
 * The targetPort that an entry has without the operator, as far as it is noted. Another one than noted is the user's. One
 * that leads to the sidecar without a note of its own led to the agent, as every noted one did.
 */
function findOriginal(
  port: ServicePort,
  originals: OriginalTargetPorts,
  agentPort?: number,
): number | string | undefined {
  if (!isTcp(port)) return undefined;
  const noted = lookUp(port, originals);
  if (port.targetPort === PORT_NAME) return noted ?? agentPort ?? Object.values(originals)[0];
  return noted === port.targetPort ? noted : undefined;
}

/** Numbers are unique among the ports of one protocol only, and only TCP is routed. */
function lookUp(port: ServicePort, originals: OriginalTargetPorts): number | string | undefined {
  if (!isTcp(port)) return undefined;
  return (port.name === undefined ? undefined : originals[port.name]) ?? originals[String(port.port)];
}

function noteFor(port: ServicePort, original: number | string): OriginalTargetPorts {
  return { ...(port.name === undefined ? {} : { [port.name]: original }), [String(port.port)]: original };
}

function isTcp(port: ServicePort): boolean {
  return (port.protocol ?? "TCP") === "TCP";
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
    const original = findOriginal(port, originals);
    if (original !== undefined) Object.assign(kept, noteFor(port, original));
  }
  return {
    ...service,
    metadata: {
      ...service.metadata,
      annotations: { ...service.metadata.annotations, [ANNOTATIONS.originalTargetPorts]: JSON.stringify(kept) },
    },
    spec: {
      ...service.spec,
      ports: ports.map((port) =>
        findOriginal(port, originals) === undefined ? port : { ...port, targetPort: PORT_NAME },
      ),
    },
  };
}
