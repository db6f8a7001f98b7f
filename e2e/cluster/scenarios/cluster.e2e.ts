import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitUntil } from "../node/wait.ts";
import { apply, clusterAccess, kubectl, requireCluster } from "./support/cluster-access.ts";

const namespace = `plain-${randomBytes(3).toString("hex")}`;
const restricted = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
};
const image = "localhost/fixture-agent:test";
const serveHostName = "require('http').createServer((q, s) => s.end(require('os').hostname())).listen(8080)";
const sidecar = {
  name: "sidecar",
  image,
  restartPolicy: "Always",
  command: ["sleep", "3600"],
  securityContext: restricted,
};

/** A Deployment of plain web servers with a native sidecar, and its Service. */
function webWorkload(): string {
  const labels = { app: "web" };
  const web = {
    name: "web",
    image,
    command: ["node", "-e", serveHostName],
    ports: [{ name: "http", containerPort: 8080 }],
    readinessProbe: { httpGet: { path: "/", port: "http" }, periodSeconds: 1 },
    securityContext: restricted,
  };
  const spec = { terminationGracePeriodSeconds: 1, initContainers: [sidecar], containers: [web] };
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace },
    spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace },
    spec: { type: "NodePort", selector: labels, ports: [{ port: 80, targetPort: "http" }] },
  };
  return JSON.stringify({ apiVersion: "v1", kind: "List", items: [deployment, service] });
}

const pods = async (): Promise<string[]> => {
  const names = await kubectl(["get", "pods", "-n", namespace, "-l", "app=web", "-o", "name"]);
  return names.trim().split("\n");
};

// What every other scenario takes for granted; when this fails, the cluster is at fault and not the product.
describe.skipIf(clusterAccess === undefined)("the cluster itself", () => {
  beforeAll(async () => {
    await kubectl(["create", "namespace", namespace]);
    await kubectl(["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    await apply(webWorkload());
    await kubectl(["rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s"]);
  });
  afterAll(async () => {
    await kubectl(["delete", "namespace", namespace, "--wait=false"]);
  });

  it("runs pods of the restricted level behind a Service that this machine reaches", async () => {
    const port = await kubectl(["get", "service", "web", "-n", namespace, "-o", "jsonpath={.spec.ports[0].nodePort}"]);
    const seen = new Set<string>();
    await waitUntil("both pods to answer", async () => {
      // A connection of its own each time, so that each request is balanced.
      const url = `http://${requireCluster().nodeAddress}:${port}/`;
      const answer = await fetch(url, { headers: { connection: "close" }, signal: AbortSignal.timeout(3000) });
      seen.add(`pod/${await answer.text()}`);
      return seen.size === 2;
    });
    expect([...seen].toSorted()).toEqual((await pods()).toSorted());
  });

  it("resolves Services by name inside pods", async () => {
    const [pod = ""] = await pods();
    const ask = ["exec", "-n", namespace, pod, "-c", "web", "--", "wget", "-qO-", `http://web.${namespace}`];
    const answer = await kubectl(ask);
    expect(await pods()).toContain(`pod/${answer}`);
  });

  it("replaces a pod that is deleted by force", async () => {
    const [victim = ""] = await pods();
    await kubectl(["delete", "-n", namespace, victim, "--force", "--grace-period=0"]);
    await kubectl(["rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s"]);
    expect(await pods()).not.toContain(victim);
    expect(await pods()).toHaveLength(2);
  });

  it("ends the native sidecar of a pod whose work is done", async () => {
    const work = { name: "work", image, command: ["true"], securityContext: restricted };
    const spec = {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      initContainers: [sidecar],
      containers: [work],
    };
    const job = {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "once", namespace },
      spec: { template: { spec } },
    };
    await apply(JSON.stringify(job));
    const wait = ["wait", "-n", namespace, "--for=condition=complete", "job/once", "--timeout=60s"];
    await expect(kubectl(wait)).resolves.toContain("condition met");
  });
});
