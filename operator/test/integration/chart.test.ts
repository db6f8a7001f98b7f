import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { type ControlPlane, startControlPlane } from "../../../e2e/cluster/control-plane.ts";
import { locateTools } from "../../../e2e/cluster/tools/locate.ts";
import type { KubernetesObject } from "../../src/kubernetes/objects.ts";
import { webhookPaths } from "../../src/server/admission-server.ts";
import { settings } from "../../src/config.ts";
import { install, locateOperatorCluster, renderChart } from "../support/operator-cluster.ts";

const located = locateOperatorCluster();
const title = located.kind === "found" ? "" : ` (${located.how})`;
const chart = fileURLToPath(new URL("../../../charts/durable-agent/", import.meta.url));
/** Definitions of other projects' resources that the chart writes. */
const foreignDefinitions = fileURLToPath(new URL("../fixtures/foreign-definitions.yaml", import.meta.url));
const valueFiles = ["values.yaml", "values-ha.yaml", ...readdirSync(`${chart}ci`).map((file) => `ci/${file}`)];

interface Rendered extends KubernetesObject {
  spec?: {
    template?: { spec?: PodSpecJson };
    replicas?: number;
    maxUnavailable?: number;
    backoffLimit?: number;
    selector?: unknown;
    endpoints?: { port: string }[];
    ports?: { name: string }[];
  };
  webhooks?: {
    name: string;
    failurePolicy: string;
    namespaceSelector: object;
    clientConfig: { service: { path: string }; caBundle?: string };
  }[];
  data?: unknown;
  rules?: { resources: string[]; verbs: string[] }[];
}
interface PodSpecJson {
  containers: { name: string; env?: { name: string; value?: string }[]; securityContext?: object }[];
  securityContext?: object;
}

async function render(...args: string[]): Promise<Rendered[]> {
  return parseAllDocuments(await renderChart(args))
    .map((document) => document.toJS() as Rendered | null)
    .filter((object) => object !== null);
}

describe.skipIf(located.kind === "missing")(`the chart${title}`, () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane();
    await plane.kubectl(["apply", "-f", foreignDefinitions]);
    await plane.kubectl(["wait", "--for=condition=Established", "-f", foreignDefinitions, "--timeout=20s"]);
    for (const namespace of [install.namespace, "agents", "more-agents"])
      await plane.kubectl(["create", "namespace", namespace]);
  });
  afterAll(async () => {
    await plane?.stop();
  });

  test.each(valueFiles)("with %s is what a real API server takes, field by field", async (file) => {
    const rendered = await renderChart(["-f", `${chart}${file}`]);
    await plane.kubectl(["apply", "--dry-run=server", "--validate=strict", "-f", "-"], rendered);
  });

  test.each(valueFiles)("with %s passes helm lint", async (file) => {
    const helm = locateTools(["helm"], process.env);
    const path = helm.kind === "found" ? (helm.paths["helm"] ?? "") : "";
    const { stdout } = await promisify(execFile)(path, ["lint", "--strict", chart, "-f", `${chart}${file}`]);
    expect(stdout).toContain("0 chart(s) failed");
  });

  test.each([
    ["an unknown value", "--set=replica=2", "additional properties 'replica' not allowed"],
    ["no replica", "--set=replicas=0", "minimum: got 0, want 1"],
    ["an unknown level", "--set=logLevel=loud", "value must be one of"],
    ["cert-manager without an issuer", "--set=certManager.enabled=true", "certManager.issuerRef.name is needed"],
  ])("%s is refused", async (_title, argument, message) => {
    await expect(renderChart([argument])).rejects.toThrow(message);
  });

  test("mints no certificate: the Secret is empty and the webhooks have no caBundle", async () => {
    const objects = await render();
    const secret = objects.find(
      ({ kind, metadata }) => kind === "Secret" && metadata.name === "durable-agent-webhook-tls",
    );
    expect(secret?.data).toBeUndefined();
    const webhooks = objects.flatMap((object) => object.webhooks ?? []);
    expect(webhooks.map(({ clientConfig }) => clientConfig.caBundle)).toEqual([undefined, undefined]);
    expect(webhooks.map(({ clientConfig }) => clientConfig.service.path)).toEqual(Object.values(webhookPaths));
    expect(webhooks.map(({ failurePolicy }) => failurePolicy)).toEqual(["Fail", "Ignore"]);
  });

  test("never selects pods or Services of its own namespace, or of kube-system", async () => {
    const selectors = (await render())
      .flatMap((object) => object.webhooks ?? [])
      .map((webhook) => webhook.namespaceSelector);
    const elsewhere = [
      { key: "kubernetes.io/metadata.name", operator: "NotIn", values: [install.namespace, "kube-system"] },
    ];
    expect(selectors).toEqual([{ matchExpressions: elsewhere }, { matchExpressions: elsewhere }]);
  });

  test("restores the workloads in one attempt, since between two the operator would stamp them all again", async () => {
    const job = (await render()).find(({ kind }) => kind === "Job");
    expect(job?.spec?.backoffLimit).toBe(0);
  });

  test("tells every run of the operator for which namespaces its webhooks are not called", async () => {
    const objects = await render("--set", "webhook.excludedNamespaces={istio-system,kube-system}");
    const told = objects.flatMap((object) =>
      (object.spec?.template?.spec?.containers ?? []).flatMap(({ env = [] }) =>
        env.filter(({ name }) => name === "EXCLUDED_NAMESPACES").map(({ value }) => value),
      ),
    );
    const values = [install.namespace, "kube-system", "istio-system"];
    expect(told).toEqual([values.join(","), values.join(",")]);
    expect(objects.flatMap(({ webhooks = [] }) => webhooks).map(({ namespaceSelector }) => namespaceSelector)).toEqual(
      Array<unknown>(2).fill({
        matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values }],
      }),
    );
  });

  test("with values-ha.yaml has two replicas, of which a drain takes one at a time", async () => {
    const objects = await render("-f", `${chart}values-ha.yaml`);
    const operator = objects.find(({ kind }) => kind === "Deployment");
    expect(operator?.spec?.replicas).toBe(2);
    expect(objects.find(({ kind }) => kind === "PodDisruptionBudget")?.spec?.maxUnavailable).toBe(1);
  });

  test("with all-values.yaml renders every template but the Secret that cert-manager writes", async () => {
    const objects = await render("-f", `${chart}ci/all-values.yaml`);
    const kinds = new Set(objects.map(({ kind }) => kind));
    for (const kind of ["Certificate", "ServiceMonitor", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Job"])
      expect(kinds).toContain(kind);
  });

  test("scrapes a port of a Service that it installs", async () => {
    const objects = await render("-f", `${chart}ci/all-values.yaml`);
    const { selector, endpoints = [] } = objects.find(({ kind }) => kind === "ServiceMonitor")?.spec ?? {};
    const wanted = Object.entries(
      (selector as { matchLabels?: Record<string, string> } | undefined)?.matchLabels ?? {},
    );
    const selected = objects.filter(
      ({ kind, metadata }) => kind === "Service" && wanted.every(([key, value]) => metadata.labels?.[key] === value),
    );
    expect(wanted).not.toEqual([]);
    expect(selected.map(({ metadata }) => metadata.name)).toEqual(["durable-agent-webhook"]);
    const ports = selected.flatMap(({ spec }) => spec?.ports ?? []).map(({ name }) => name);
    expect(endpoints.map(({ port }) => port).filter((port) => !ports.includes(port))).toEqual([]);
    expect(endpoints).not.toEqual([]);
  });

  test("asks for no priority class by itself: some clusters refuse those of the system outside kube-system", async () => {
    for (const file of ["values.yaml", "values-ha.yaml"]) {
      const pods = (await render("-f", `${chart}${file}`)).flatMap(({ spec }) => spec?.template?.spec ?? []);
      expect(pods.length).toBeGreaterThan(0);
      expect(pods.filter((pod) => "priorityClassName" in pod)).toEqual([]);
    }
  });

  test("tells the operator nothing that it does not know", async () => {
    const known = new Set(settings.map(({ name }) => name));
    const told = (await render("--set", "certManager.enabled=true", "--set", "certManager.issuerRef.name=x")).flatMap(
      (object) =>
        (object.spec?.template?.spec?.containers ?? []).flatMap(({ env = [] }) => env.map(({ name }) => name)),
    );
    expect(told.length).toBeGreaterThan(10);
    expect(told.filter((name) => !known.has(name))).toEqual([]);
  });

  test("runs every pod at the restricted level", async () => {
    const objects = await render("--set", "dev.enabled=true");
    const specs = objects.flatMap((object) => object.spec?.template?.spec ?? []);
    expect(specs).toHaveLength(4);
    for (const { securityContext, containers } of specs) {
      expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      for (const container of containers) {
        expect(container.securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          capabilities: { drop: ["ALL"] },
        });
      }
    }
  });

  test("with watchNamespaces gives no permission in other namespaces", async () => {
    const objects = await render("--set", "watchNamespaces={agents}");
    const wide = objects.filter(({ kind }) => kind === "ClusterRole").flatMap(({ rules = [] }) => rules);
    expect(wide.flatMap(({ resources }) => resources).toSorted()).toEqual([
      "mutatingwebhookconfigurations",
      "namespaces",
    ]);
    const narrow = objects.filter(({ kind, metadata }) => kind === "Role" && metadata.namespace === "agents");
    expect(narrow).toHaveLength(1);
  });
});
