/** Workloads as users have them, with an agent that listens on 8080. */

/** Labels that Service and pods share. */
const labelsOf = (name: string): Record<string, string> => ({ app: name });

/** A Deployment; the port has a name where one is given. */
export function deployment(
  name: string,
  options: { namespace?: string; replicas?: number; portName?: string; annotations?: Record<string, string> } = {},
): Record<string, unknown> {
  const { namespace = "agents", replicas = 2, portName, annotations } = options;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      replicas,
      selector: { matchLabels: labelsOf(name) },
      template: {
        metadata: { labels: labelsOf(name) },
        spec: {
          containers: [
            {
              name: "agent",
              image: "example.com/agent:1",
              ports: [{ containerPort: 8080, ...(portName === undefined ? {} : { name: portName }) }],
            },
          ],
        },
      },
    },
  };
}

/** A Service in front of it. */
export function service(name: string, targetPort: number | string, namespace = "agents"): Record<string, unknown> {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: { selector: labelsOf(name), ports: [{ name: "web", port: 80, targetPort }] },
  };
}

/** A DurableAgent for it. */
export function durableAgentFor(
  name: string,
  spec: Record<string, unknown> = {},
  namespace = "agents",
): Record<string, unknown> {
  return {
    apiVersion: "durable-agent.dev/v1alpha1",
    kind: "DurableAgent",
    metadata: { name, namespace },
    spec: { workload: { kind: "Deployment", name }, ...spec },
  };
}
