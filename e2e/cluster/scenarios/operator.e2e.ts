import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { isWrite, parseAuditLog } from "../audit-log.ts";
import { waitUntil } from "../node/wait.ts";
import { isInjected, type Pod, startAgent } from "./support/agent-under-test.ts";
import { expireServingCertificate, servingCertificate } from "./support/certificates.ts";
import { kubectl, requireCluster } from "./support/cluster-access.ts";
import { operatorSelector } from "./support/installation.ts";
import { operatorUsage, type Usage } from "./support/usage.ts";
import { describeAgent } from "./support/scenario.ts";
import { systemNamespace } from "./support/stores.ts";
import { durableAgentManifest } from "./support/workload.ts";

const inSystem = ["-n", systemNamespace] as const;
const deployment = "deployment/durable-agent-operator";

async function leader(): Promise<string> {
  return await kubectl([
    "get",
    "lease",
    "durable-agent-operator",
    ...inSystem,
    "-o",
    "jsonpath={.spec.holderIdentity}",
  ]);
}

async function scaleOperator(replicas: number): Promise<void> {
  await kubectl(["scale", deployment, ...inSystem, `--replicas=${replicas}`]);
  if (replicas > 0) {
    await kubectl(["rollout", "status", deployment, ...inSystem, "--timeout=120s"]);
    return;
  }
  const gone = ["wait", "--for=delete", "pod", "-l", operatorSelector, ...inSystem, "--timeout=60s"];
  await kubectl(gone);
}

/** A pod of the agent's own kind, by hand; `labels` decide whether it is to be injected. */
function podManifest(namespace: string, name: string, labels: Readonly<Record<string, string>>): string {
  const containers = [
    {
      name: "agent",
      image: "localhost/fixture-agent:test",
      env: [
        { name: "HOST", value: "0.0.0.0" },
        { name: "OBEY_SIGNALS", value: "yes" },
      ],
      ports: [{ name: "a2a", containerPort: 8080 }],
    },
  ];
  const metadata = { name, namespace, labels };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata,
    spec: { containers, terminationGracePeriodSeconds: 1 },
  });
}

describeAgent("the operator fails", { isProtected: true }, (agent) => {
  it("K7: the leader is killed; another one reconciles within 15 s, and injection goes on all the time", async () => {
    const other = await startAgent();
    const killed = await leader();
    await kubectl(["delete", "pod", killed, ...inSystem, "--force", "--grace-period=0"]);
    const killedAt = Date.now();
    await kubectl(["apply", "-f", "-"], durableAgentManifest({ name: other.name, namespace: other.namespace }));
    await agent().kubectl("scale", agent().resource, "--replicas=3");
    await agent().waitForRollout();
    expect((await agent().pods()).every(isInjected)).toBe(true);
    await waitUntil("the other workload to be stamped", async () => {
      const template = await other.kubectl("get", other.resource, "-o", "jsonpath={.spec.template.metadata.labels}");
      return template.includes("durable-agent.dev/agent");
    });
    expect(Date.now() - killedAt).toBeLessThan(15_000);
    expect(await leader()).not.toBe(killed);
    await other.waitUntilProtected();
    await other.remove();
    await scaleOperator(2);
  });

  it("K14: with the operator down a labelled pod does not start without its sidecar, an unlabelled one is not delayed", async () => {
    const { namespace, name } = agent();
    await scaleOperator(0);
    try {
      const labelled = kubectl(
        ["apply", "-f", "-"],
        podManifest(namespace, "labelled", { "durable-agent.dev/agent": name }),
      );
      await expect(labelled).rejects.toThrow(/failed calling webhook/);
      const startedAt = Date.now();
      await kubectl(["apply", "-f", "-"], podManifest(namespace, "unlabelled", {}));
      expect(Date.now() - startedAt).toBeLessThan(2000);
      await agent().kubectl("wait", "--for=condition=Ready", "pod/unlabelled", "--timeout=60s");
      const [victim] = await agent().pods();
      await agent().kubectl("delete", "pod", victim?.metadata.name ?? "", "--wait=false");
    } finally {
      await scaleOperator(2);
    }
    await agent().waitUntilProtected();
    expect((await agent().pods()).every(isInjected)).toBe(true);
  });

  it("K8: an expired certificate is rotated, and no admission fails", async () => {
    const failures: string[] = [];
    const admissions = { count: 0 };
    const pod = podManifest(agent().namespace, "dry-run", { "durable-agent.dev/agent": agent().name });
    const stopping = new AbortController();
    const admit = async (): Promise<void> => {
      while (!stopping.signal.aborted) {
        const answer = await kubectl(["create", "--dry-run=server", "-o", "json", "-f", "-"], pod).catch(String);
        admissions.count += 1;
        if (!answer.startsWith("{") || !isInjected(JSON.parse(answer) as Pod)) failures.push(answer.slice(0, 300));
      }
    };
    const admitting = admit();
    try {
      const expired = await expireServingCertificate();
      await waitUntil("a new certificate", async () => (await servingCertificate()).raw !== expired, {
        deadlineMs: 60_000,
      });
      expect((await servingCertificate()).validTo.getTime()).toBeGreaterThan(Date.now());
      const before = admissions.count;
      await waitUntil("some more admissions", async () => admissions.count > before + 10, { deadlineMs: 60_000 });
    } finally {
      stopping.abort();
      await admitting;
    }
    expect(failures).toEqual([]);
  });
});

const operatorUser = `system:serviceaccount:${systemNamespace}:durable-agent-operator`;

/** What the operator has asked the API server to change so far, Leases left out; nothing where nobody keeps a log. */
async function operatorWrites(): Promise<readonly string[]> {
  const { auditLog } = requireCluster();
  if (auditLog === undefined) return [];
  const own = parseAuditLog(await readFile(auditLog, "utf8")).filter(({ user }) => user === operatorUser);
  // Otherwise a log of other people's requests would count as one without writes.
  if (own.length === 0) throw new Error(`the audit log has no request of ${operatorUser}`);
  return own
    .filter((entry) => isWrite(entry) && entry.resource !== "coordination.k8s.io/leases")
    .map(({ verb, resource, namespace, name }) => `${verb} ${resource} ${namespace}/${name}`);
}

/** Longer than the operator's longest period, twice. */
const idleMs = 70_000;

describeAgent("the operator has nothing to do", { isProtected: true }, (agent) => {
  let usage: Record<"before" | "after", ReadonlyMap<string, Usage>> = { before: new Map(), after: new Map() };

  it("K16: it writes nothing, for longer than its longest period", async () => {
    const versions = async (): Promise<unknown> => {
      const jsonpath = "-o=jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion} {end}";
      return [
        await agent().kubectl("get", "durableagents,deployments,services,secrets", jsonpath),
        await kubectl(["get", "secrets,services", ...inSystem, jsonpath]),
        await kubectl(["get", "mutatingwebhookconfigurations", jsonpath]),
      ];
    };
    // The operator lets go of the DurableAgents of scenarios that are over, and those are none of its doing nothing.
    const areNamespacesSettled = async (): Promise<boolean> => {
      const phases = await kubectl(["get", "namespaces", "-o", "jsonpath={.items[*].status.phase}"]);
      return !phases.includes("Terminating");
    };
    await waitUntil("no namespace to be on its way out", areNamespacesSettled, { deadlineMs: 90_000, intervalMs: 500 });
    // Pods that have just ended may still change counts in a status.
    await waitUntil("two equal looks", async () => {
      const before = JSON.stringify(await versions());
      await new Promise((resolve) => setTimeout(resolve, 3000));
      return before === JSON.stringify(await versions());
    });
    const before = await versions();
    const writesBefore = await operatorWrites();
    const usedBefore = await operatorUsage();
    await new Promise((resolve) => setTimeout(resolve, idleMs));
    usage = { before: usedBefore, after: await operatorUsage() };
    expect(await versions()).toEqual(before);
    expect((await operatorWrites()).slice(writesBefore.length)).toEqual([]);
  });

  it("K19: it takes less than 120 MB and 1 % of a core", () => {
    for (const [pod, { cpuNanoseconds, memoryBytes, at }] of usage.after) {
      const before = usage.before.get(pod);
      if (before === undefined) throw new Error(`${pod} was not there before`);
      expect(memoryBytes).toBeLessThan(120_000_000);
      const share = (cpuNanoseconds - before.cpuNanoseconds) / 1e6 / (at - before.at);
      expect(share).toBeLessThan(0.01);
    }
    expect(usage.after.size).toBe(2);
  });
});
