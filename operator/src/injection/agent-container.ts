/** What changes on the agent's own container: its ports' names, what refers to them, and its preStop hook. */
import { createHash } from "node:crypto";
import { ADMIN_PATHS, HEADERS, PORT_NAME, PORTS } from "@durable-agent/crds/contract";
import type { Container, ContainerPort, EnvironmentVariable, Handler, Probe } from "../kubernetes/objects.ts";
import type { InjectionPlan } from "./injection-plan.ts";

/** The name that the agent's port gets when the sidecar takes its own: at most 15 characters, the same every time. */
export function renamedPort(name: string): string {
  return `agent-${name.slice(0, 4)}${createHash("sha256").update(name).digest("hex").slice(0, 4)}`;
}

/**
 * The agent's container as it runs next to the sidecar. The sidecar's port is listed here and not on the sidecar: the
 * containers of a pod share their ports, and named targetPorts of native sidecars reach endpoints only from server 1.32
 * (kubernetes/kubernetes#128850) and some network policy engines not at all.
 */
export function adaptAgentContainer(container: Container, plan: InjectionPlan): Container {
  const adapted = structuredClone(container);
  const before = plan.target;
  rewriteReferences(adapted, before.portName, before.port, plan);
  adapted.ports = placePorts(adapted.ports ?? [], plan);
  if (plan.trafficMode === "PortEnv" && plan.spec.agent.portEnv !== undefined) {
    adapted.env = setVariable(adapted.env ?? [], plan.spec.agent.portEnv, String(plan.ports.agent));
  }
  if (adapted.lifecycle?.preStop === undefined) {
    adapted.lifecycle = { ...adapted.lifecycle, preStop: buildPreStop(plan.drainToken) };
  }
  return adapted;
}

/** Keeps the variable's place, or makes it the first: `$(NAME)` is expanded only from entries that come before. */
function setVariable(variables: EnvironmentVariable[], name: string, value: string): EnvironmentVariable[] {
  const isSet = variables.some((variable) => variable.name === name);
  if (!isSet) return [{ name, value }, ...variables];
  return variables.map((variable) => (variable.name === name ? { name, value } : variable));
}

/** SIGTERM reaches the agent only when this call has returned, that is when its running turns are done or handed over. */
function buildPreStop(drainToken: string): Handler {
  return {
    httpGet: {
      path: ADMIN_PATHS.preStop,
      port: PORTS.admin,
      httpHeaders: [{ name: HEADERS.drainToken, value: drainToken }],
    },
  };
}

function placePorts(ports: ContainerPort[], plan: InjectionPlan): ContainerPort[] {
  const { target, trafficMode } = plan;
  if (trafficMode === "Service")
    return [...ports, { name: PORT_NAME, containerPort: plan.ports.sidecar, protocol: "TCP" }];
  // The entry keeps its name and leads to the sidecar; the agent's own number follows under another name.
  const moved: ContainerPort = {
    ...(target.portName === undefined ? {} : { name: renamedPort(target.portName) }),
    containerPort: plan.ports.agent,
    protocol: "TCP",
  };
  const index = ports.findIndex((port) => isTarget(port, plan));
  if (index < 0) return [...ports, moved];
  return ports
    .map((port, position) => (position === index ? { ...port, containerPort: plan.ports.sidecar } : port))
    .toSpliced(index + 1, 0, moved);
}

function isTarget(port: ContainerPort, { target }: InjectionPlan): boolean {
  if ((port.protocol ?? "TCP") !== "TCP") return false;
  return target.portName === undefined ? port.containerPort === target.port : port.name === target.portName;
}

/** Probes and hooks mean the agent, so they follow it to its number: the name, or with PortEnv the number, is the sidecar's. */
function rewriteReferences(container: Container, name: string | undefined, number: number, plan: InjectionPlan): void {
  if (plan.trafficMode === "Service") return;
  const rewrite = (port: number | string): number | string =>
    (name !== undefined && port === name) || port === number ? plan.ports.agent : port;
  const probes: (Probe | undefined)[] = [container.livenessProbe, container.readinessProbe, container.startupProbe];
  for (const handler of [...probes, container.lifecycle?.preStop, container.lifecycle?.postStart]) {
    if (handler?.httpGet !== undefined) handler.httpGet.port = rewrite(handler.httpGet.port);
    if (handler?.tcpSocket !== undefined) handler.tcpSocket.port = rewrite(handler.tcpSocket.port);
    if (handler?.grpc?.port === number) handler.grpc.port = plan.ports.agent;
  }
}
