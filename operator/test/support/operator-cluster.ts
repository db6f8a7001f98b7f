/**
 * A real API server with the chart installed and operators running as plain processes beside it: as their service account,
 * with the chart's own permissions and webhooks. Only kubelet is played, by {@link playKubelet}.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startNats } from "durable-agent-sidecar/test-support/nats";
import { startPostgres } from "durable-agent-sidecar/test-support/postgres";
import { type SpawnedProcess, spawnProcess } from "durable-agent-sidecar/test-support/processes";
import { freePort, waitFor } from "durable-agent-sidecar/test-support/wait";
import { parseAllDocuments, stringify } from "yaml";
import type { AuditEntry } from "../../../e2e/cluster/audit-log.ts";
import { locateControlPlane, startControlPlane } from "../../../e2e/cluster/control-plane.ts";
import { locateTools } from "../../../e2e/cluster/tools/locate.ts";
import { type Connection, connect } from "../../src/adapters/kubernetes/connection.ts";
import { startReflector } from "../../src/adapters/kubernetes/reflector.ts";
import { createCluster } from "../../src/adapters/kubernetes/rest-cluster.ts";
import { pods } from "../../src/kubernetes/resource-types.ts";
import type { KubernetesObject } from "../../src/kubernetes/objects.ts";
import type { Cluster } from "../../src/ports/cluster.ts";

/** The namespace and release that the chart is installed as. */
export const install = { release: "durable-agent", namespace: "durable-agent-system", name: "durable-agent" } as const;
/** The user that the operators are to the API server. */
export const operatorUser = `system:serviceaccount:${install.namespace}:${install.name}-operator`;

const operatorDirectory = fileURLToPath(new URL("../../", import.meta.url));
const chartDirectory = fileURLToPath(new URL("../../../charts/durable-agent/", import.meta.url));

/** What a test file needs; missing programs are a skip that names the command which builds them. */
export function locateOperatorCluster(): { kind: "found" } | { kind: "missing"; how: string } {
  const plane = locateControlPlane(process.env, { controllerManager: true });
  if (plane.kind === "missing") return { kind: "missing", how: plane.how };
  const helm = locateTools(["helm"], process.env);
  return helm.kind === "missing" ? { kind: "missing", how: helm.how } : { kind: "found" };
}

/** One operator process. */
export interface RunningOperator {
  process: SpawnedProcess;
  probeUrl: string;
  stop(): Promise<void>;
}

/** The cluster under test. */
export interface OperatorCluster {
  /** As administrator. */
  admin: Cluster;
  connection: Connection;
  databaseUrl: string;
  kubectl(args: string[], input?: string): Promise<string>;
  /** Applies objects as kubectl does on the client's side. */
  apply(...objects: object[]): Promise<void>;
  /** Every request so far. */
  auditEntries(): Promise<readonly AuditEntry[]>;
  /** Requests of the operators so far. */
  operatorRequests(): Promise<AuditEntry[]>;
  /** Starts a replica from its source, or the bundle that images hold. */
  startOperator(name: string, env?: Record<string, string>, program?: "source" | "bundle"): Promise<RunningOperator>;
  /** Runs the command that the chart's pre-delete hook runs. */
  uninstall(): Promise<SpawnedProcess>;
  stop(): Promise<void>;
}

interface OperatorProcess {
  name: string;
  probePort: number;
  args?: string[];
  env?: Record<string, string> | undefined;
  program?: "source" | "bundle" | undefined;
}

/** How the chart is installed. */
export interface OperatorClusterOptions {
  /** Namespaces that are there before the chart is. */
  namespaces?: string[];
  /** The chart's watchNamespaces. */
  watchNamespaces?: string[];
}

/** Starts everything but the operators. */
export async function startOperatorCluster(options: OperatorClusterOptions = {}): Promise<OperatorCluster> {
  const { namespaces = [], watchNamespaces = [] } = options;
  const directory = await mkdtemp(join(tmpdir(), "operator-cluster-"));
  const [plane, postgres, nats] = await Promise.all([
    startControlPlane({ controllerManager: true }),
    startPostgres(),
    startNats(),
  ]);
  const connection = await connect({ KUBECONFIG: plane.kubeconfig });
  const admin = createCluster(connection);
  const { url: databaseUrl } = await postgres.createDatabase();
  const webhookPort = await freePort();
  for (const namespace of [install.namespace, ...namespaces]) await plane.kubectl(["create", "namespace", namespace]);
  const values = watchNamespaces.length === 0 ? [] : ["--set", `watchNamespaces={${watchNamespaces.join(",")}}`];
  await plane.kubectl(["apply", "-f", "-"], await renderForTest(webhookPort, values));
  await plane.kubectl(["wait", "--for=condition=Established", "crd/durableagents.durable-agent.dev", "--timeout=20s"]);
  const kubeconfig = join(directory, "operator.kubeconfig");
  const token = await plane.kubectl([
    "create",
    "token",
    `${install.name}-operator`,
    "-n",
    install.namespace,
    "--duration=1h",
  ]);
  await writeFile(kubeconfig, tokenKubeconfig(plane.url, plane.authority, token.trim()));
  const files = { database: join(directory, "database-url"), nats: join(directory, "nats-url") };
  await Promise.all([writeFile(files.database, databaseUrl), writeFile(files.nats, nats.url)]);
  const environment = (name: string, probePort: number): Record<string, string> => ({
    KUBECONFIG: kubeconfig,
    POD_NAMESPACE: install.namespace,
    POD_NAME: name,
    SIDECAR_IMAGE: "durable-agent-sidecar:test",
    DATABASE_URL_FILE: files.database,
    NATS_URL_FILE: files.nats,
    WEBHOOK_PORT: String(webhookPort),
    WEBHOOK_HOSTS: "127.0.0.1",
    WEBHOOK_SERVICE: `${install.name}-webhook`,
    WEBHOOK_SECRET: `${install.name}-webhook-tls`,
    WEBHOOK_CONFIGURATION: install.name,
    LEASE_NAME: `${install.name}-operator`,
    PROBE_PORT: String(probePort),
    WATCH_NAMESPACES: watchNamespaces.join(","),
    EXCLUDED_NAMESPACES: `${install.namespace},kube-system`,
    STORE_PROBE_MS: "2000",
    SHUTDOWN_QUIET_MS: "0",
  });
  const spawnOperator = (operator: OperatorProcess): SpawnedProcess => {
    const { name, probePort, args = [], env = {}, program = "source" } = operator;
    return spawnProcess(process.execPath, [program === "source" ? "src/main.ts" : "dist/main.js", ...args], {
      name,
      cwd: operatorDirectory,
      env: { ...environment(name, probePort), ...env },
    });
  };
  return {
    admin,
    connection,
    databaseUrl,
    kubectl: (args, input) => plane.kubectl(args, input),
    apply: async (...objects) => {
      await plane.kubectl(["apply", "-f", "-"], objects.map((object) => stringify(object)).join("---\n"));
    },
    auditEntries: () => plane.auditEntries(),
    operatorRequests: async () => (await plane.auditEntries()).filter(({ user }) => user === operatorUser),
    startOperator: async (name, env, program) => {
      const probePort = await freePort();
      const process = spawnOperator({ name, probePort, env, program });
      await process.waitForLine(/operator started/, 20_000);
      return {
        process,
        probeUrl: `http://127.0.0.1:${probePort}`,
        stop: async () => {
          await process.stop(10_000);
        },
      };
    },
    uninstall: async () => spawnOperator({ name: "uninstall", probePort: await freePort(), args: ["uninstall"] }),
    stop: async () => {
      await connection.close();
      await Promise.all([plane.stop(), postgres.close(), nats.close()]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function tokenKubeconfig(server: string, authority: string, token: string): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "operator",
    clusters: [{ name: "plane", cluster: { server, "certificate-authority": authority } }],
    users: [{ name: "operator", user: { token } }],
    contexts: [{ name: "operator", context: { cluster: "plane", user: "operator" } }],
  });
}

/** The chart as helm renders it, without the pods that only a node could run and with webhooks called by address. */
async function renderForTest(webhookPort: number, values: string[]): Promise<string> {
  const rendered = await renderChart(values);
  const kept = parseAllDocuments(rendered)
    .map((document) => document.toJS() as (KubernetesObject & { webhooks?: WebhookJson[] }) | null)
    .filter((object) => object !== null && object.kind !== "Deployment" && object.kind !== "Job");
  for (const object of kept) {
    for (const webhook of object?.webhooks ?? []) {
      webhook.clientConfig = { url: `https://127.0.0.1:${webhookPort}${webhook.clientConfig.service?.path ?? ""}` };
    }
  }
  return kept.map((object) => stringify(object)).join("---\n");
}

interface WebhookJson {
  clientConfig: { service?: { path: string }; url?: string };
}

/** Everything the chart installs, as YAML text. */
export async function renderChart(args: string[]): Promise<string> {
  const located = locateTools(["helm"], process.env);
  if (located.kind === "missing") throw new Error(located.how);
  const { stdout } = await promisify(execFile)(
    located.paths["helm"] ?? "",
    [
      "template",
      install.release,
      chartDirectory,
      "--namespace",
      install.namespace,
      "--kube-version",
      "1.36.0",
      ...args,
    ],
    { maxBuffer: 16 * 1024 * 1024 },
  );
  return stdout;
}

/** Marks every pod of a namespace running and ready, as soon as it is there. */
export function playKubelet(cluster: OperatorCluster, namespace: string): { stop(): Promise<void> } {
  const pending = new Set<Promise<unknown>>();
  const cache = startReflector({
    connection: cluster.connection,
    type: pods,
    namespaces: [namespace],
    listener: (pod) => {
      const { name = "", deletionTimestamp } = pod.metadata;
      if (pod.status?.phase === "Running" || deletionTimestamp !== undefined) return;
      const at = new Date().toISOString();
      const conditions = ["Ready", "ContainersReady", "Initialized", "PodScheduled"].map((type) => ({
        type,
        status: "True",
        lastTransitionTime: at,
      }));
      const marked = cluster.admin
        .merge(
          pods,
          { name, namespace },
          { status: { phase: "Running", podIP: "10.1.2.3", conditions } },
          { subresource: "status" },
        )
        .catch(() => undefined); // deleted in between
      pending.add(marked);
      void marked.finally(() => pending.delete(marked));
    },
    onFault: () => undefined,
  });
  return {
    stop: async () => {
      cache.stop();
      await cache.done;
      await Promise.all(pending);
    },
  };
}

/** Waits until a look at the cluster satisfies, and returns what was seen; a failed look is another look. */
export async function eventually<T>(
  look: () => Promise<T | undefined>,
  satisfies: (seen: T) => boolean,
  what: string,
  deadlineMs = 20_000,
): Promise<T> {
  let last: T | undefined;
  return await waitFor(
    async () => {
      last = await look();
      return last !== undefined && satisfies(last) ? { seen: last } : undefined;
    },
    { deadlineMs, intervalMs: 100, message: () => `${what}; last seen: ${JSON.stringify(last)?.slice(0, 1500)}` },
  ).then(({ seen }) => seen);
}
