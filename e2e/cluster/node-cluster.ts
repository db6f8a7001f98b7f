// Rung 2: a real Kubernetes cluster on this machine without Docker. Every node is a set of namespaces with its own
// containerd, kubelet and kube-proxy; node 1 also runs the control plane. Needs Linux and root.
//
// A cluster belongs to a folder and not to the process that started it: `startNodeCluster`, `attachNodeCluster` and `stopNodeCluster`
// may be called by different processes. There is one cluster per machine (its addresses are fixed).

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditEntry, parseAuditLog } from "./audit-log.ts";
import type { Cluster } from "./cluster.ts";
import { packImages } from "./images/archive.ts";
import { pauseImageOf, toolBoxImageOf } from "./images/infrastructure.ts";
import { runKubectl } from "./kubectl.ts";
import { type ClusterAddress, writeKubeconfig } from "./kubeconfig.ts";
import { apiServerUrl, cgroupOf, nodeAddress, services } from "./node/addresses.ts";
import { createCgroups } from "./node/cgroups.ts";
import { auditLogOf, startApi, startControllers } from "./node/control-servers.ts";
import { createPrivateFolders, isHolder, missingPrivateFolders, removePrivateFolders } from "./node/holder.ts";
import { locateNode } from "./node/machine.ts";
import { createBridge, isBridgeThere, removeBridge } from "./node/network.ts";
import {
  createPlace,
  importImages,
  type Programs,
  prepareNodeFiles,
  programPath,
  removePlace,
  startContainerd,
  startKubelet,
} from "./node/node.ts";
import { type NodePlace, startOnNode } from "./node/node-process.ts";
import { podLogsOf } from "./node/configuration.ts";
import { type ClusterState, nodeFolder, readState, writeState } from "./node/state.ts";
import { raiseInotifyLimit, restoreSysctls, saveSysctls } from "./node/sysctls.ts";
import { waitUntil } from "./node/wait.ts";
import { createAuthority, issueCertificate, type KeyPairFiles } from "./pki.ts";

/** Settings of a cluster; all have defaults that work. */
export interface ClusterOptions {
  /** Where everything of the cluster is kept. */
  readonly folder?: string;
  /** Image archives to import on every node. */
  readonly images?: readonly string[];
  readonly nodes?: number;
  /** Seconds after which a silent node counts as lost; Kubernetes' own default is 40. */
  readonly nodeGraceSeconds?: number;
  /** Whether the cluster outlives the process that started it; otherwise the next start may clear it away. */
  readonly isKept?: boolean;
  /** Receives one line per step. */
  readonly report?: (line: string) => void;
}

/** A running cluster of this kind. */
export interface NodeCluster extends Cluster {
  readonly folder: string;
  /** Adds a node and resolves to its name when it is ready. */
  addNode(): Promise<string>;
  /** Ends a node at once, as a power failure would; Kubernetes is not told. Node 1 cannot be ended. */
  killNode(index: number): Promise<void>;
  /** Every request that the API server has answered so far, oldest first. */
  auditEntries(): Promise<readonly AuditEntry[]>;
}

/** Everything the functions below share. */
interface Context {
  readonly folder: string;
  readonly programs: Programs;
  readonly authority: KeyPairFiles;
  readonly address: ClusterAddress;
  readonly kubeconfig: string;
  readonly state: ClusterState;
  readonly report: (line: string) => void;
}

/** Where a cluster is kept unless told otherwise. */
export function defaultFolder(): string {
  return join(tmpdir(), "durable-agent-cluster");
}

/** Tells whether a cluster can be started here; tests use it to skip visibly, with the sentence to print. */
export { locateNode as locateNodeCluster } from "./node/machine.ts";

function contextOf(folder: string, state: ClusterState, report: (line: string) => void): Context {
  const tools = locateNode(process.env);
  if (tools.kind === "missing") throw new Error(`cluster: ${tools.how}`);
  const pki = join(folder, "pki");
  const authority = { certificate: join(pki, "kubernetes-ca.crt"), key: join(pki, "kubernetes-ca.key") };
  const address = { server: apiServerUrl(), authority: authority.certificate };
  const kubeconfig = join(folder, "admin.kubeconfig");
  return { folder, programs: tools.paths, authority, address, kubeconfig, state, report };
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

/** Takes down what an ended process has left; throws when a cluster is in use on this machine. */
async function clearAbandoned(folder: string): Promise<void> {
  const state = readState(folder);
  const holder = state?.nodes[1]?.holder;
  const isRunning = holder !== undefined && isHolder(holder.pid, nodeFolder(folder, 1));
  if (isRunning && (state?.ownerPid === undefined || isAlive(state.ownerPid))) {
    throw new Error(`cluster: one is running in ${folder}; end it first (node e2e/cluster/main.ts down)`);
  }
  await stopNodeCluster(folder);
  if (await isBridgeThere()) throw new Error("cluster: another one is running on this machine, in another folder");
}

/**
 * Starts a cluster and resolves when its nodes are ready (5–8 s). What an ended process has left in the same folder is
 * taken down first. Throws with the reason, and leaves nothing behind, when something is missing, does not come up, or
 * a cluster is in use already.
 */
export async function startNodeCluster(options: ClusterOptions = {}): Promise<NodeCluster> {
  const folder = options.folder ?? defaultFolder();
  await clearAbandoned(folder);
  const state: ClusterState = { nodes: {}, sysctls: saveSysctls(), createdFolders: missingPrivateFolders() };
  if (options.isKept !== true) state.ownerPid = process.pid;
  const context = contextOf(folder, state, createReport(options));
  try {
    mkdirSync(join(folder, "pki"), { recursive: true });
    writeState(folder, context.state);
    createPrivateFolders();
    raiseInotifyLimit(context.state.sysctls);
    await createAuthority(join(folder, "pki"), "kubernetes-ca");
    const admin = await issueCertificate(context.authority, "admin", {
      subject: "/O=system:masters/CN=admin",
      usage: "client",
    });
    await writeKubeconfig(context.kubeconfig, context.address, admin);
    await createBridge();
    await startFirstNode(context, options);
    for (let index = 2; index <= (options.nodes ?? 1); index += 1) await startFurtherNode(context, index);
    return clusterOf(context);
  } catch (error) {
    await stopNodeCluster(folder);
    throw error;
  }
}

function createReport(options: ClusterOptions): (line: string) => void {
  const startedAt = Date.now();
  return (line) => options.report?.(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${line}`);
}

async function startFirstNode(context: Context, options: ClusterOptions): Promise<void> {
  const { programs, authority, report } = context;
  const place = await createPlace(context.folder, 1, context);
  const control = {
    programs,
    authority,
    cluster: context.address,
    nodeGraceSeconds: options.nodeGraceSeconds ?? 40,
  };
  const files = await prepareNodeFiles(place, 1, context);
  const { servers, tokenKey } = await startApi(place, control);
  const containerd = startContainerd(place, 1, files, programs);
  const infrastructure = await packInfrastructure(context);
  await waitUntil("the API server to be ready", async () => {
    for (const server of [...servers, containerd]) {
      const failure = server.failure();
      if (failure !== undefined) throw new Error(failure);
    }
    return (await kubectl(context, ["get", "--raw=/readyz"])) === "ok";
  });
  report("API server ready");
  await startControllers(place, control, tokenKey);
  await importImages(place, programs, [infrastructure]);
  await startKubelet(place, 1, { ...context, files, cluster: context.address });
  await importImages(place, programs, options.images ?? []);
  rememberImages(context, [infrastructure, ...(options.images ?? [])]);
  report("images imported");
  await startDns(context, place);
  await waitForNode(context, 1);
}

async function startFurtherNode(context: Context, index: number): Promise<void> {
  const place = await createPlace(context.folder, index, context);
  const files = await prepareNodeFiles(place, index, context);
  startContainerd(place, index, files, context.programs);
  await importImages(place, context.programs, context.state.images ?? []);
  await startKubelet(place, index, { ...context, files, cluster: context.address });
  await waitForNode(context, index);
}

async function waitForNode(context: Context, index: number): Promise<void> {
  const { name } = nodeAddress(index);
  const readyPath = '{.status.conditions[?(@.type=="Ready")].status}';
  await waitUntil(
    `${name} to be ready (logs: ${join(nodeFolder(context.folder, index), "log")})`,
    async () => (await kubectl(context, ["get", "node", name, `--output=jsonpath=${readyPath}`])) === "True",
    { deadlineMs: 60_000, intervalMs: 100 },
  );
  context.report(`${name} ready`);
}

/** Packs the images that every cluster has. */
async function packInfrastructure(context: Context): Promise<string> {
  const archive = join(context.folder, "infrastructure.tar");
  const pause = pauseImageOf(programPath(context.programs, "pause"));
  await packImages(archive, [pause, toolBoxImageOf(programPath(context.programs, "busybox"))]);
  return archive;
}

function rememberImages(context: Context, archives: readonly string[]): void {
  context.state.images = [...new Set([...(context.state.images ?? []), ...archives])];
  writeState(context.folder, context.state);
}

/** Starts the DNS server on node 1 and makes it the Service that pods ask. */
async function startDns(context: Context, place: NodePlace): Promise<void> {
  const { address } = nodeAddress(1);
  const program = join(import.meta.dirname, "node", "dns-server.ts");
  startOnNode(place, "dns", process.execPath, [program, context.kubeconfig, address]);
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "dns-tcp", port: 53, protocol: "TCP" },
  ];
  const namespace = "kube-system";
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "kube-dns", namespace },
    spec: { clusterIP: services.dns, ports },
  };
  const endpoints = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "kube-dns-node1", namespace, labels: { "kubernetes.io/service-name": "kube-dns" } },
    addressType: "IPv4",
    ports,
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  };
  await kubectl(
    context,
    ["apply", "-f", "-"],
    JSON.stringify({ apiVersion: "v1", kind: "List", items: [service, endpoints] }),
  );
}

async function kubectl(context: Context, args: readonly string[], input?: string): Promise<string> {
  return await runKubectl(programPath(context.programs, "kubectl"), context.kubeconfig, args, input);
}

/** The place of a node that is already there. */
function placeOf(context: Context, index: number): NodePlace {
  const holder = context.state.nodes[index]?.holder;
  const folder = nodeFolder(context.folder, index);
  if (holder === undefined || !isHolder(holder.pid, folder)) throw new Error(`node ${index} is not running`);
  const programFolder = join(programPath(context.programs, "kubelet"), "..");
  return {
    holderPid: holder.pid,
    cgroupFiles: createCgroups(cgroupOf(nodeAddress(index).name)),
    folder,
    programFolder,
  };
}

function clusterOf(context: Context): NodeCluster {
  const { folder, state } = context;
  const indexes = (): readonly number[] => Object.keys(state.nodes).map(Number);
  return {
    nodeAddress: nodeAddress(1).address,
    kubeconfig: context.kubeconfig,
    auditLog: auditLogOf(placeOf(context, 1)),
    podLogs: indexes().map((index) => podLogsOf(nodeFolder(folder, index))),
    folder,
    kubectl: (args, input) => kubectl(context, args, input),
    loadImages: async (archive) => {
      for (const index of indexes()) await importImages(placeOf(context, index), context.programs, [archive]);
      rememberImages(context, [archive]);
    },
    addNode: async () => {
      const index = Math.max(...indexes()) + 1;
      await startFurtherNode(context, index);
      return nodeAddress(index).name;
    },
    killNode: async (index) => {
      if (index === 1) throw new Error("node 1 runs the control plane and cannot be ended alone");
      await removePlace(folder, index, state);
      delete state.nodes[index];
      writeState(folder, state);
    },
    auditEntries: async () => parseAuditLog(await readFile(auditLogOf(placeOf(context, 1)), "utf8")),
    stop: () => stopNodeCluster(folder),
  };
}

/** The cluster in `folder` if it runs, whoever started it. */
export function attachNodeCluster(folder: string = defaultFolder()): NodeCluster | undefined {
  const state = readState(folder);
  const holder = state?.nodes[1]?.holder;
  if (state === undefined || holder === undefined || !isHolder(holder.pid, nodeFolder(folder, 1))) return undefined;
  return clusterOf(contextOf(folder, state, () => {}));
}

/** Ends the cluster in `folder`, also a half-started one, and puts the machine back as it was. Harmless without one. */
export async function stopNodeCluster(folder: string = defaultFolder()): Promise<void> {
  const state = readState(folder);
  if (state === undefined) return;
  for (const index of Object.keys(state.nodes).map(Number).toReversed()) await removePlace(folder, index, state);
  await removeBridge();
  restoreSysctls(state.sysctls);
  await removePrivateFolders(state.createdFolders);
  rmSync(folder, { recursive: true, force: true });
}
