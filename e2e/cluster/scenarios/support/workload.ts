// What a user has before the product comes: an agent in a Deployment or StatefulSet, and the Service in front of it.

/** How the workload differs from the plain one. */
export interface WorkloadOptions {
  readonly name: string;
  readonly namespace: string;
  readonly kind?: "Deployment" | "StatefulSet";
  readonly replicas?: number;
  /** Whether the Service has no address of its own; clients then connect to the pods. */
  readonly isHeadless?: boolean;
  /** What the Service's targetPort is: the port's name or its number. */
  readonly targetPort?: "name" | "number";
  readonly annotations?: Readonly<Record<string, string>>;
  /** Whether the agent ends at SIGTERM, or ignores it as a process 1 without a handler does. */
  readonly obeysSignals?: boolean;
  /** Longest time a pod may take to end. */
  readonly terminationGracePeriodSeconds?: number;
}

const agentPort = 8080;
/** Name of the agent's port in every workload. */
export const agentPortName = "a2a";

const securityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
};

/** The pod template: the fixture agent on @a2a-js/sdk 1.x, unaware of everything, with a log of its executions. */
function podTemplate(options: WorkloadOptions): unknown {
  return {
    metadata: { labels: { app: options.name } },
    spec: {
      terminationGracePeriodSeconds: options.terminationGracePeriodSeconds ?? 40,
      volumes: [{ name: "log", emptyDir: {} }],
      containers: [
        {
          name: "agent",
          image: "localhost/fixture-agent:test",
          args: ["js-1"],
          env: [
            { name: "HOST", value: "0.0.0.0" },
            { name: "PORT", value: String(agentPort) },
            { name: "START_LOG", value: "/log/starts" },
            { name: "CANCEL_LOG", value: "/log/cancels" },
            { name: "OBEY_SIGNALS", value: options.obeysSignals === false ? "" : "yes" },
          ],
          ports: [{ name: agentPortName, containerPort: agentPort }],
          readinessProbe: { tcpSocket: { port: agentPortName }, periodSeconds: 1 },
          // On a full node a container without a request gets next to nothing beside its sidecar, which has one.
          resources: { requests: { cpu: "100m" } },
          volumeMounts: [{ name: "log", mountPath: "/log" }],
          securityContext,
        },
      ],
    },
  };
}

/** The objects as kubectl takes them. The Service has a node port, so that clients outside the cluster reach it. */
export function workloadManifest(options: WorkloadOptions): string {
  const { name, namespace } = options;
  const isNamed = (options.targetPort ?? "name") === "name";
  const kind = options.kind ?? "Deployment";
  const selector = { app: name };
  const workload = {
    apiVersion: "apps/v1",
    kind,
    metadata: { name, namespace, annotations: options.annotations },
    spec: {
      replicas: options.replicas ?? 2,
      selector: { matchLabels: selector },
      ...(kind === "StatefulSet" ? { serviceName: name } : {}),
      template: podTemplate(options),
    },
  };
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: {
      ...(options.isHeadless === true ? { clusterIP: "None" } : { type: "NodePort" }),
      selector,
      ports: [{ name: "http", port: 80, targetPort: isNamed ? agentPortName : agentPort }],
    },
  };
  return JSON.stringify({ apiVersion: "v1", kind: "List", items: [workload, service] });
}

/** A DurableAgent for the workload; `spec` adds to what is needed. */
export function durableAgentManifest(options: WorkloadOptions, spec: Readonly<Record<string, unknown>> = {}): string {
  const { name, namespace, kind = "Deployment" } = options;
  return JSON.stringify({
    apiVersion: "durable-agent.dev/v1alpha1",
    kind: "DurableAgent",
    metadata: { name, namespace },
    spec: { workload: { kind, name }, ...spec },
  });
}
