// Postgres and NATS of a scenario as pods, in the way a small installation runs them: one each, behind a Service. They
// request CPU: on a full node, Kubernetes gives pods that do not a hundredth of what it gives those with sidecars.

/** Where they are, as seen from pods. */
export interface StoreUrls {
  readonly postgres: string;
  readonly nats: string;
}

/** Namespace of the stores and of the operator. */
export const systemNamespace = "durable-agent-system";

/** URLs that the operator hands to sidecars. */
export const storeUrls: StoreUrls = {
  postgres: `postgres://postgres@postgres.${systemNamespace}.svc.cluster.local:5432/postgres`,
  nats: `nats://nats.${systemNamespace}.svc.cluster.local:4222`,
};

interface StorePod {
  readonly name: string;
  readonly port: number;
  readonly spec: Readonly<Record<string, unknown>>;
}

/** A StatefulSet of one pod and its Service. */
function storeObjects(store: StorePod): readonly unknown[] {
  const metadata = { name: store.name, namespace: systemNamespace };
  const labels = { app: store.name };
  return [
    // With a node port, because a checker outside the cluster compares what clients see with the record.
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { type: "NodePort", selector: labels, ports: [{ port: store.port }] },
    },
    {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata,
      spec: {
        serviceName: store.name,
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 10, ...store.spec } },
      },
    },
  ];
}

/**
 * Both stores. Postgres keeps its data in a folder of the node `dataNode`, so that another pod of the same name finds it
 * again; the folder is below one that is private to the node and goes with it.
 */
export function storeManifest(dataNode: string): string {
  const image = "localhost/fixture-postgres:test";
  const volumeMounts = [{ name: "data", mountPath: "/data" }];
  const postgres: StorePod = {
    name: "postgres",
    port: 5432,
    spec: {
      nodeName: dataNode,
      volumes: [{ name: "data", hostPath: { path: "/var/lib/kubelet/e2e-postgres", type: "DirectoryOrCreate" } }],
      initContainers: [
        {
          name: "own-data",
          image,
          command: ["chown", "1000:1000", "/data"],
          securityContext: { runAsUser: 0 },
          volumeMounts,
        },
      ],
      containers: [
        {
          name: "postgres",
          image,
          volumeMounts,
          readinessProbe: { tcpSocket: { port: 5432 }, periodSeconds: 1 },
          resources: { requests: { cpu: "500m" } },
        },
      ],
    },
  };
  const nats: StorePod = {
    name: "nats",
    port: 4222,
    spec: {
      containers: [
        {
          name: "nats",
          image: "localhost/fixture-nats:test",
          readinessProbe: { httpGet: { path: "/healthz", port: 8222 }, periodSeconds: 1 },
          resources: { requests: { cpu: "100m" } },
        },
      ],
    },
  };
  const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: systemNamespace } };
  const items = [namespace, ...storeObjects(postgres), ...storeObjects(nats)];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}
