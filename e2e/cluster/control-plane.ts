// Rung 1: a Kubernetes API server with its etcd (and, on request, the controller manager) as plain processes on random
// loopback ports. No root, no containers, no nodes: objects are stored, validated, admitted and watched for real, pods
// are never run. Everything lives in one temporary folder that goes with the control plane.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type AuditEntry, auditPolicy, parseAuditLog } from "./audit-log.ts";
import { runKubectl } from "./kubectl.ts";
import { type ClusterAddress, writeKubeconfig } from "./kubeconfig.ts";
import { createAuthority, createTokenKeys, issueCertificate, type KeyPairFiles } from "./pki.ts";
import { apiServerArguments, controllerManagerArguments, etcdArguments } from "./server-arguments.ts";
import { type ServerProcess, startServer } from "./server-process.ts";
import { type LocatedTools, locateTools } from "./tools/locate.ts";

/** Address range of Services; only numbers in objects here, nothing routes it. */
const serviceRange = "10.97.0.0/24";
const startDeadlineMs = 60_000;

/** Settings of `startControlPlane`; all have defaults that work. */
export interface ControlPlaneOptions {
  /**
   * Also run the controller manager: Deployments make pods (which stay Pending), owned objects are collected,
   * namespaces end. Costs about a second more to start.
   */
  readonly controllerManager?: boolean;
  /** Further arguments for the API server, e.g. "--feature-gates=…". */
  readonly apiServerArguments?: readonly string[];
  /** Where the programs are looked for; `process.env` unless given. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A running control plane. */
export interface ControlPlane {
  /** Base URL, `https://127.0.0.1:<port>`. */
  readonly url: string;
  /** Path of a kubeconfig of a member of system:masters. */
  readonly kubeconfig: string;
  /** Path of the authority's certificate (PEM). */
  readonly authority: string;
  /** Writes a kubeconfig for another user, for tests of RBAC; resolves to its path. */
  kubeconfigFor(user: string, groups?: readonly string[]): Promise<string>;
  /** Runs kubectl as admin and resolves to its output; rejects with its message when it fails. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Every request that the API server has answered so far, oldest first. */
  auditEntries(): Promise<readonly AuditEntry[]>;
  /** Ends every process and removes every file. Calling it twice is harmless. */
  stop(): Promise<void>;
}

interface Endpoints {
  readonly etcdClient: number;
  readonly etcdPeer: number;
  readonly api: number;
}

interface Files {
  readonly folder: string;
  readonly authority: KeyPairFiles;
  readonly server: KeyPairFiles;
  readonly admin: KeyPairFiles;
  readonly tokens: { readonly publicKey: string; readonly privateKey: string };
  readonly auditLog: string;
  readonly auditPolicy: string;
}

/** Tells whether the programs of a control plane are there; tests use it to skip visibly, with the sentence to print. */
export function locateControlPlane(env: NodeJS.ProcessEnv, options: ControlPlaneOptions = {}): LocatedTools {
  const manager = options.controllerManager === true ? ["kube-controller-manager"] : [];
  return locateTools(["etcd", "kube-apiserver", "kubectl", ...manager], env);
}

/**
 * Starts a control plane and resolves when its API answers ready (2–4 s). Throws with the reason, and leaves nothing
 * behind, when a program is missing or does not come up.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const tools = locateControlPlane(options.env ?? process.env, options);
  if (tools.kind === "missing") throw new Error(`control plane: ${tools.how}`);
  const folder = await mkdtemp(join(tmpdir(), "control-plane-"));
  const servers: ServerProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const server of servers.toReversed()) await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const files = await createFiles(folder);
    const ports = await reservePorts();
    servers.push(startEtcd(tools.paths.etcd ?? "", files, ports));
    servers.push(startApiServer(tools.paths["kube-apiserver"] ?? "", files, ports, options));
    const url = `https://127.0.0.1:${ports.api}`;
    const cluster = { server: url, authority: files.authority.certificate };
    const kubeconfig = await writeKubeconfig(join(folder, "admin.kubeconfig"), cluster, files.admin);
    await waitUntilReady(url, files, servers);
    if (options.controllerManager === true) {
      servers.push(await startControllerManager(tools.paths["kube-controller-manager"] ?? "", files, cluster));
    }
    return {
      url,
      kubeconfig,
      authority: files.authority.certificate,
      kubeconfigFor: async (user, groups = []) => {
        const subject = [...groups.map((group) => `/O=${group}`), `/CN=${user}`].join("");
        const name = `user-${Buffer.from(subject).toString("hex")}`.slice(0, 200);
        const client = await issueCertificate(files.authority, name, { subject, usage: "client" });
        return await writeKubeconfig(join(folder, `${name}.kubeconfig`), cluster, client);
      },
      kubectl: (args, input) => runKubectl(tools.paths.kubectl ?? "", kubeconfig, args, input),
      auditEntries: async () => parseAuditLog(await readFile(files.auditLog, "utf8")),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function createFiles(folder: string): Promise<Files> {
  const pki = join(folder, "pki");
  await mkdir(pki);
  const authority = await createAuthority(pki, "kubernetes-ca");
  const [server, admin, tokens] = await Promise.all([
    issueCertificate(authority, "apiserver", {
      subject: "/CN=kube-apiserver",
      usage: "server",
      names: ["DNS:localhost", "IP:127.0.0.1"],
    }),
    issueCertificate(authority, "admin", { subject: "/O=system:masters/CN=admin", usage: "client" }),
    createTokenKeys(pki),
  ]);
  const policy = join(folder, "audit-policy.json");
  await writeFile(policy, JSON.stringify(auditPolicy));
  return { folder, authority, server, admin, tokens, auditLog: join(folder, "audit.log"), auditPolicy: policy };
}

/** Ports that were free a moment ago, all different. Another process may take one before it is used: rare, and loud. */
async function reservePorts(): Promise<Endpoints> {
  const servers = [createServer(), createServer(), createServer()];
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            resolve(typeof address === "object" && address !== null ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  const [etcdClient = 0, etcdPeer = 0, api = 0] = ports;
  return { etcdClient, etcdPeer, api };
}

function startEtcd(path: string, files: Files, ports: Endpoints): ServerProcess {
  const args = etcdArguments({
    dataFolder: join(files.folder, "etcd"),
    clientUrl: `http://127.0.0.1:${ports.etcdClient}`,
    peerUrl: `http://127.0.0.1:${ports.etcdPeer}`,
  });
  return startServer({ name: "etcd", path, args, logFile: join(files.folder, "etcd.log") });
}

function startApiServer(path: string, files: Files, ports: Endpoints, options: ControlPlaneOptions): ServerProcess {
  const args = [
    ...apiServerArguments({
      bindAddress: "127.0.0.1",
      advertiseAddress: "127.0.0.1",
      port: ports.api,
      etcdUrl: `http://127.0.0.1:${ports.etcdClient}`,
      serviceRange,
      authorization: "RBAC",
      authority: files.authority.certificate,
      server: files.server,
      tokens: files.tokens,
      audit: { log: files.auditLog, policy: files.auditPolicy },
    }),
    // A loopback address is no valid endpoint of the "kubernetes" Service.
    "--endpoint-reconciler-type=none",
    ...(options.apiServerArguments ?? []),
  ];
  // Nobody creates the default ServiceAccount without the controller manager, and pods would wait for it.
  if (options.controllerManager !== true) args.push("--disable-admission-plugins=ServiceAccount");
  return startServer({ name: "kube-apiserver", path, args, logFile: join(files.folder, "kube-apiserver.log") });
}

async function startControllerManager(path: string, files: Files, cluster: ClusterAddress): Promise<ServerProcess> {
  const client = await issueCertificate(files.authority, "controller-manager", {
    subject: "/CN=system:kube-controller-manager",
    usage: "client",
  });
  const kubeconfig = await writeKubeconfig(join(files.folder, "controller-manager.kubeconfig"), cluster, client);
  const args = controllerManagerArguments({
    kubeconfig,
    authority: files.authority.certificate,
    tokenKey: files.tokens.privateKey,
    volumePluginFolder: join(files.folder, "volume-plugins"),
  });
  const logFile = join(files.folder, "kube-controller-manager.log");
  return startServer({ name: "kube-controller-manager", path, args, logFile });
}

/** One question to /readyz; false for every answer but 200 and every failure to connect. */
function isReady(url: string, ca: Buffer, client: { cert: Buffer; key: Buffer }): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(`${url}/readyz`, { ca, ...client, agent: false, timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(false));
    asked.end();
  });
}

async function waitUntilReady(url: string, files: Files, servers: readonly ServerProcess[]): Promise<void> {
  const ca = await readFile(files.authority.certificate);
  const client = { cert: await readFile(files.admin.certificate), key: await readFile(files.admin.key) };
  const deadline = Date.now() + startDeadlineMs;
  while (!(await isReady(url, ca, client))) {
    for (const server of servers) {
      const failure = server.failure();
      if (failure !== undefined) throw new Error(`control plane: ${failure}`);
    }
    if (Date.now() > deadline) throw new Error(`control plane: not ready within ${startDeadlineMs / 1000} s`);
    await delay(50);
  }
}
