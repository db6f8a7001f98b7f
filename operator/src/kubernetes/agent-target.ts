/** Which container and port of a pod is the agent. Asked for the workload's template and again for each pod. */
import type { Container, ContainerPort } from "./objects.ts";

/** Why the agent was not found; each is a reason code of reasons.ts. */
export type TargetProblem = "AmbiguousContainer" | "ContainerNotFound" | "AmbiguousPort" | "PortNotFound" | "NoPort";

/** Where the agent speaks A2A. */
export interface AgentTarget {
  container: string;
  port: number;
  portName?: string;
}

/** The agent, or what the user has to say so that it can be found. */
export type TargetSearch =
  | { kind: "found"; target: AgentTarget }
  | { kind: "missing"; reason: TargetProblem; message: string };

/** Names that a port is recognised by, the first one first. */
const portNames = ["a2a", "http"];

/**
 * Finds the agent among the containers of a pod spec: the named container or the only one, in it the named or numbered
 * port, or the one called a2a, else http, else the only TCP port. Never guesses between several.
 */
export function findAgentTarget(
  containers: Container[],
  wanted: { container?: string; port?: number | string },
): TargetSearch {
  const search = findContainer(containers, wanted.container);
  if (search.kind === "missing") return search;
  const { container } = search;
  const port = findPort(container, wanted.port);
  if (port.kind === "missing") return port;
  const { containerPort, name } = port.port;
  return {
    kind: "found",
    target: { container: container.name, port: containerPort, ...(name === undefined ? {} : { portName: name }) },
  };
}

type Missing = Extract<TargetSearch, { kind: "missing" }>;

function findContainer(containers: Container[], name?: string): { kind: "found"; container: Container } | Missing {
  const names = containers.map((container) => container.name).join(", ");
  if (name !== undefined) {
    const container = containers.find((candidate) => candidate.name === name);
    if (container !== undefined) return { kind: "found", container };
    return missing("ContainerNotFound", `the pod has no container ${name}, only ${names}`);
  }
  const [only] = containers;
  if (only !== undefined && containers.length === 1) return { kind: "found", container: only };
  return missing("AmbiguousContainer", `the pod has the containers ${names}; set agent.container to the agent's`);
}

function findPort(container: Container, wanted?: number | string): { kind: "found"; port: ContainerPort } | Missing {
  const ports = (container.ports ?? []).filter((port) => (port.protocol ?? "TCP") === "TCP");
  const described = ports.map((port) => port.name ?? String(port.containerPort)).join(", ");
  if (typeof wanted === "number") {
    // A container may listen on a port that its spec does not list.
    return { kind: "found", port: ports.find((port) => port.containerPort === wanted) ?? { containerPort: wanted } };
  }
  if (wanted !== undefined) {
    const port = ports.find((candidate) => candidate.name === wanted);
    if (port !== undefined) return { kind: "found", port };
    return missing(
      "PortNotFound",
      `container ${container.name} has no port named ${wanted}, only ${described || "none"}`,
    );
  }
  for (const name of portNames) {
    const port = ports.find((candidate) => candidate.name === name);
    if (port !== undefined) return { kind: "found", port };
  }
  const [only] = ports;
  if (only === undefined) {
    return missing("NoPort", `container ${container.name} lists no port; set agent.port to the agent's port number`);
  }
  if (ports.length === 1) return { kind: "found", port: only };
  return missing(
    "AmbiguousPort",
    `container ${container.name} has the ports ${described}; set agent.port to the agent's`,
  );
}

function missing(reason: TargetProblem, message: string): Missing {
  return { kind: "missing", reason, message };
}
