import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { locateNodeCluster, type NodeCluster, startNodeCluster } from "./node-cluster.ts";
import { bridge } from "./node/addresses.ts";
import { waitUntil } from "./node/wait.ts";

const tools = locateNodeCluster(process.env);
if (tools.kind === "missing") console.warn(`SKIP cluster with nodes: ${tools.how}`);

const restricted = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
};
const serveHostName = "require('http').createServer((q, s) => s.end(require('os').hostname())).listen(8080)";

/** A Deployment of plain web servers with a native sidecar, and its Service. */
function webWorkload(namespace: string): string {
  const labels = { app: "web" };
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 1,
          initContainers: [
            {
              name: "sidecar",
              image: "localhost/toolbox:test",
              restartPolicy: "Always",
              command: ["sleep", "3600"],
              securityContext: restricted,
            },
          ],
          containers: [
            {
              name: "web",
              image: "localhost/toolbox:test",
              command: ["node", "-e", serveHostName],
              ports: [{ name: "http", containerPort: 8080 }],
              readinessProbe: { httpGet: { path: "/", port: "http" }, periodSeconds: 1 },
              securityContext: restricted,
            },
          ],
        },
      },
    },
  };
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace },
    spec: { selector: labels, ports: [{ port: 80, targetPort: "http" }] },
  };
  return JSON.stringify({ apiVersion: "v1", kind: "List", items: [deployment, service] });
}

/** What the machine looks like, as far as a cluster changes it. */
function traces(): unknown {
  const sysctls = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "fs/inotify/max_user_instances"];
  return {
    mounts: readFileSync("/proc/mounts", "utf8"),
    routes: readFileSync("/proc/net/route", "utf8"),
    links: readdirSync("/sys/class/net"),
    groups: readdirSync("/sys/fs/cgroup").filter((name) => existsSync(`/sys/fs/cgroup/${name}/durable-agent-node1`)),
    folders: ["/run/netns", "/run/containerd", "/var/lib/kubelet", "/var/lib/cni"].filter((path) => existsSync(path)),
    sysctls: sysctls.map((name) => readFileSync(`/proc/sys/${name}`, "utf8")),
  };
}

describe.skipIf(tools.kind === "missing")("a cluster with nodes", () => {
  let before: unknown;
  let cluster: NodeCluster;

  beforeAll(async () => {
    before = traces();
    cluster = await startNodeCluster();
    await cluster.kubectl(["create", "namespace", "secure"]);
    await cluster.kubectl(["label", "namespace", "secure", "pod-security.kubernetes.io/enforce=restricted"]);
    await cluster.kubectl(["apply", "-f", "-"], webWorkload("secure"));
    await cluster.kubectl(["rollout", "status", "deployment/web", "-n", "secure", "--timeout=60s"]);
  });
  afterAll(async () => {
    await cluster?.stop();
  });

  const pods = async (): Promise<string[]> => {
    const names = await cluster.kubectl(["get", "pods", "-n", "secure", "-l", "app=web", "-o", "name"]);
    return names.trim().split("\n");
  };

  it("refuses a second one beside it", async () => {
    await expect(startNodeCluster()).rejects.toThrow(/one is running/);
  });

  it("runs pods of the restricted level behind a Service that this machine reaches", async () => {
    const address = await cluster.kubectl([
      "get",
      "service",
      "web",
      "-n",
      "secure",
      "-o",
      "jsonpath={.spec.clusterIP}",
    ]);
    const seen = new Set<string>();
    await waitUntil("both pods to answer", async () => {
      // A connection of its own each time, so that each request is balanced.
      const answer = await fetch(`http://${address}/`, { headers: { connection: "close" } });
      seen.add(`pod/${await answer.text()}`);
      return seen.size === 2;
    });
    expect([...seen].toSorted()).toEqual((await pods()).toSorted());
  });

  it("resolves Services by name inside pods", async () => {
    const [pod = ""] = await pods();
    const asked = await cluster.kubectl([
      "exec",
      "-n",
      "secure",
      pod,
      "-c",
      "web",
      "--",
      "wget",
      "-qO-",
      "http://web.secure",
    ]);
    expect(await pods()).toContain(`pod/${asked}`);
  });

  it("calls a webhook on this machine and obeys it", async () => {
    // The API server wants TLS; that the call arrives, and that its failure counts, is what the network has to prove.
    let calls = 0;
    const server: Server = createServer();
    server.on("connection", (socket) => {
      calls += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, bridge.address, resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const webhook = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: "deny" },
      webhooks: [
        {
          name: "deny.example.com",
          clientConfig: { url: `https://${bridge.address}:${port}/` },
          rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] }],
          namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "secure" } },
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
        },
      ],
    };
    await cluster.kubectl(["apply", "-f", "-"], JSON.stringify(webhook));
    try {
      await waitUntil("the webhook to be called", async () => {
        const create = ["create", "configmap", "refused", "-n", "secure", "--dry-run=server"];
        return await cluster.kubectl(create).then(
          () => false,
          (error: unknown) => String(error).includes("failed calling webhook"),
        );
      });
      expect(calls).toBeGreaterThan(0);
    } finally {
      await cluster.kubectl(["delete", "validatingwebhookconfiguration", "deny"]);
      server.close();
    }
  });

  it("replaces a pod that is deleted by force", async () => {
    const [victim = ""] = await pods();
    await cluster.kubectl(["delete", "-n", "secure", victim, "--force", "--grace-period=0"]);
    await cluster.kubectl(["rollout", "status", "deployment/web", "-n", "secure", "--timeout=60s"]);
    expect(await pods()).not.toContain(victim);
    expect(await pods()).toHaveLength(2);
  });

  it("ends the native sidecar of a pod whose work is done", async () => {
    const container = { image: "localhost/toolbox:test", securityContext: restricted };
    const job = {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "once", namespace: "secure" },
      spec: {
        template: {
          spec: {
            restartPolicy: "Never",
            terminationGracePeriodSeconds: 1,
            initContainers: [{ ...container, name: "sidecar", restartPolicy: "Always", command: ["sleep", "3600"] }],
            containers: [{ ...container, name: "work", command: ["true"] }],
          },
        },
      },
    };
    await cluster.kubectl(["apply", "-f", "-"], JSON.stringify(job));
    const wait = ["wait", "-n", "secure", "--for=condition=complete", "job/once", "--timeout=60s"];
    await expect(cluster.kubectl(wait)).resolves.toContain("condition met");
  });

  it("moves pods from a drained node to another and reaches them there", async () => {
    expect(await cluster.addNode()).toBe("node2");
    await cluster.kubectl(["drain", "node1", "--ignore-daemonsets", "--force"]);
    await cluster.kubectl(["rollout", "status", "deployment/web", "-n", "secure", "--timeout=60s"]);
    const where = "jsonpath={.items[*].spec.nodeName}";
    const ready = [
      "get",
      "pods",
      "-n",
      "secure",
      "-l",
      "app=web",
      "--field-selector=status.phase=Running",
      "-o",
      where,
    ];
    expect((await cluster.kubectl(ready)).split(" ")).toEqual(["node2", "node2"]);
    const address = await cluster.kubectl([
      "get",
      "service",
      "web",
      "-n",
      "secure",
      "-o",
      "jsonpath={.spec.clusterIP}",
    ]);
    await waitUntil("the Service to lead to the other node", async () => (await fetch(`http://${address}/`)).ok);
    await cluster.kubectl(["uncordon", "node1"]);
  });

  it("leaves the machine as it was", async () => {
    await cluster.stop();
    expect(existsSync(cluster.folder)).toBe(false);
    expect(traces()).toEqual(before);
  });
});
