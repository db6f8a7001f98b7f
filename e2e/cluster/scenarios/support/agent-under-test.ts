// One workload of a scenario in a namespace of its own.

import { randomBytes } from "node:crypto";
import { waitUntil } from "../../node/wait.ts";
import { apply, getObject, kubectl, requireCluster } from "./cluster-access.ts";
import type { Endpoint } from "./conversation.ts";
import { durableAgentManifest, type WorkloadOptions, workloadManifest } from "./workload.ts";

/** Path under which the fixture agent takes JSON-RPC. */
export const rpcPath = "/a2a/jsonrpc";
/** Port of the sidecar's A2A traffic. */
export const sidecarPort = 15800;

/** The parts of a pod that scenarios look at. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly containers: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string }[];
  };
  readonly status: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface DurableAgent {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }[];
  };
}

/** A line of an agent's log. */
export interface Execution {
  readonly messageId: string;
  readonly taskId: string;
}

/** Whether a pod has the sidecar. */
export function isInjected(pod: Pod): boolean {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  return containers.some((container) => container.name === "durable-agent");
}

/** A workload of a scenario. */
export class AgentUnderTest {
  readonly #options: WorkloadOptions;
  /** The Service, through a port of a node; it leads nowhere when the Service is headless. */
  readonly endpoint: Endpoint;

  constructor(options: WorkloadOptions, endpoint: Endpoint) {
    this.#options = options;
    this.endpoint = endpoint;
  }

  get name(): string {
    return this.#options.name;
  }

  get namespace(): string {
    return this.#options.namespace;
  }

  /** What kubectl calls the workload. */
  get resource(): string {
    return `${(this.#options.kind ?? "Deployment").toLowerCase()}/${this.name}`;
  }

  /** Runs kubectl in the namespace. */
  async kubectl(...args: readonly string[]): Promise<string> {
    return await kubectl(["-n", this.namespace, ...args]);
  }

  /** Pods that are not on their way out, oldest name first. */
  async pods(): Promise<readonly Pod[]> {
    const list = await getObject<{ readonly items: readonly Pod[] }>(
      "pods",
      "-n",
      this.namespace,
      "-l",
      `app=${this.name}`,
    );
    return list.items.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  }

  /** Waits until the workload's controller has replaced every pod. */
  async waitForRollout(): Promise<void> {
    await this.kubectl("rollout", "status", this.resource, "--timeout=120s");
  }

  /** Applies a DurableAgent for the workload and waits until it is ready. */
  async protect(spec: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await apply(durableAgentManifest(this.#options, spec));
    await this.waitUntilProtected();
  }

  /** Goes back to the revision that was there first, without sidecars; resolves when the operator has stamped it again. */
  async undoRollout(): Promise<void> {
    await this.kubectl("rollout", "undo", this.resource, "--to-revision=1");
    await waitUntil("the stamp to be back", async () => {
      const template = await this.kubectl("get", this.resource, "-o", "jsonpath={.spec.template.metadata}");
      return template.includes("durable-agent.dev/agent");
    });
    await this.waitForRollout();
    await this.waitUntilProtected();
  }

  /** Waits until the DurableAgent is ready for what is asked for at this moment, and all pods have the sidecar. */
  async waitUntilProtected(): Promise<void> {
    let last = "";
    await waitUntil(
      `DurableAgent ${this.name} to be ready`,
      async () => {
        const agent = await getObject<DurableAgent>("durableagent", this.name, "-n", this.namespace);
        const conditions = agent.status?.conditions ?? [];
        last = conditions
          .map(({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`)
          .join("\n");
        const isObserved = agent.status?.observedGeneration === agent.metadata.generation;
        return isObserved && conditions.some(({ type, status }) => type === "Ready" && status === "True");
      },
      { deadlineMs: 120_000, intervalMs: 300 },
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; last seen:\n${last}`);
    });
    await this.waitForRollout();
  }

  /** One record per execution that the agents of these pods have started. */
  async executions(pods: readonly Pod[]): Promise<readonly Execution[]> {
    return await this.#readLog("/log/starts", pods);
  }

  /** One record per cancel that reached an agent of these pods. */
  async cancellations(pods: readonly Pod[]): Promise<readonly Execution[]> {
    return await this.#readLog("/log/cancels", pods);
  }

  async #readLog(file: string, pods: readonly Pod[]): Promise<readonly Execution[]> {
    const texts = await Promise.all(
      pods.map(({ metadata: { name } }) =>
        this.kubectl("exec", name, "-c", "agent", "--", "sh", "-c", `cat ${file} || true`),
      ),
    );
    const lines = texts.flatMap((text) => text.split("\n")).filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as Execution);
  }

  /** Ends the scenario's namespace; does not wait for its pods. */
  async remove(): Promise<void> {
    await kubectl(["delete", "namespace", this.namespace, "--wait=false"]);
  }
}

async function nodePortOf(namespace: string, service: string): Promise<string> {
  return await kubectl(["get", "service", service, "-n", namespace, "-o", "jsonpath={.spec.ports[0].nodePort}"]);
}

/** Settings of `startAgent` that have defaults. */
export type AgentOptions = Omit<WorkloadOptions, "name" | "namespace"> & {
  readonly name?: string;
  /** Its namespace; a new one with a random name unless given. */
  readonly namespace?: string;
  /** Labels of the namespace. */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
};

/** Creates a namespace with a running, unprotected agent. */
export async function startAgent(options: AgentOptions = {}): Promise<AgentUnderTest> {
  const { namespaceLabels, namespace = `scenario-${randomBytes(3).toString("hex")}`, ...rest } = options;
  const workload: WorkloadOptions = { name: "counter", ...rest, namespace };
  const labels = { scenario: "yes", ...namespaceLabels };
  await apply(JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels } }));
  await apply(workloadManifest(workload));
  const nodePort = await nodePortOf(namespace, workload.name);
  const agent = new AgentUnderTest(workload, `http://${requireCluster().nodeAddress}:${nodePort}${rpcPath}`);
  await agent.waitForRollout();
  if (workload.isHeadless !== true)
    await waitUntil("the Service to lead to every pod", () => answersAlways(agent.endpoint));
  return agent;
}

/** More connections than chance needs to reach both pods: a pod is ready a little before its node leads anybody to it. */
const PROBES = 16;

async function answersAlways(endpoint: Endpoint): Promise<boolean> {
  const card = new URL("/.well-known/agent-card.json", endpoint);
  const answers = await Promise.all(
    Array.from({ length: PROBES }, async () =>
      fetch(card, { headers: { connection: "close" } }).then(
        ({ ok }) => ok,
        () => false,
      ),
    ),
  );
  return answers.every(Boolean);
}
