// The control plane of a cluster with nodes: etcd, API server, controller manager and scheduler on node 1.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { auditPolicy } from "../audit-log.ts";
import { type ClusterAddress, writeKubeconfig } from "../kubeconfig.ts";
import { createTokenKeys, issueCertificate, type KeyPairFiles } from "../pki.ts";
import {
  apiServerArguments,
  controllerManagerArguments,
  etcdArguments,
  schedulerArguments,
} from "../server-arguments.ts";
import type { ServerProcess } from "../server-process.ts";
import { apiServerPort, clusterDomain, nodeAddress, services } from "./addresses.ts";
import { type Programs, programPath } from "./node.ts";
import { type NodePlace, startOnNode } from "./node-process.ts";

const etcdUrl = "http://127.0.0.1:2379";

/** Settings of the control plane. */
export interface ControlServerSettings {
  readonly programs: Programs;
  readonly authority: KeyPairFiles;
  readonly cluster: ClusterAddress;
  /** Seconds without word from a kubelet after which its node counts as lost. */
  readonly nodeGraceSeconds: number;
}

/** Path of the API server's audit log. */
export function auditLogOf(place: NodePlace): string {
  return join(place.folder, "audit.log");
}

/** Starts etcd and the API server; neither is ready when this resolves. */
export async function startApi(
  place: NodePlace,
  settings: ControlServerSettings,
): Promise<{ readonly servers: readonly ServerProcess[]; readonly tokenKey: string }> {
  const { programs, authority } = settings;
  const { address, name } = nodeAddress(1);
  const own = "kubernetes.default.svc";
  const serverNames = ["localhost", name, "kubernetes", "kubernetes.default", own, `${own}.${clusterDomain}`];
  const server = await issueCertificate(authority, "apiserver", {
    subject: "/CN=kube-apiserver",
    usage: "server",
    names: [
      ...serverNames.map((serverName) => `DNS:${serverName}`),
      ...["127.0.0.1", address, services.apiServer].map((serverAddress) => `IP:${serverAddress}`),
    ],
  });
  const kubeletClient = await issueCertificate(authority, "apiserver-kubelet", {
    subject: "/O=system:masters/CN=kube-apiserver-kubelet-client",
    usage: "client",
  });
  const tokens = await createTokenKeys(place.folder);
  const policy = join(place.folder, "audit-policy.json");
  await writeFile(policy, JSON.stringify(auditPolicy));
  const etcd = etcdArguments({
    dataFolder: join(place.folder, "etcd"),
    clientUrl: etcdUrl,
    peerUrl: "http://127.0.0.1:2380",
  });
  const apiServer = [
    ...apiServerArguments({
      bindAddress: "0.0.0.0",
      advertiseAddress: address,
      port: apiServerPort,
      etcdUrl,
      serviceRange: services.range,
      authorization: "Node,RBAC",
      authority: authority.certificate,
      server,
      tokens,
      audit: { log: auditLogOf(place), policy },
    }),
    "--enable-admission-plugins=NodeRestriction",
    `--kubelet-client-certificate=${kubeletClient.certificate}`,
    `--kubelet-client-key=${kubeletClient.key}`,
    `--kubelet-certificate-authority=${authority.certificate}`,
    "--kubelet-preferred-address-types=InternalIP,Hostname",
  ];
  const servers = [
    startOnNode(place, "etcd", programPath(programs, "etcd"), etcd),
    startOnNode(place, "kube-apiserver", programPath(programs, "kube-apiserver"), apiServer),
  ];
  return { servers, tokenKey: tokens.privateKey };
}

/** Starts controller manager and scheduler; the API server must answer. */
export async function startControllers(
  place: NodePlace,
  settings: ControlServerSettings,
  tokenKey: string,
): Promise<readonly ServerProcess[]> {
  const { programs, authority, cluster } = settings;
  const kubeconfigOf = async (name: string): Promise<string> => {
    const client = await issueCertificate(authority, name, { subject: `/CN=system:${name}`, usage: "client" });
    return await writeKubeconfig(join(place.folder, `${name}.kubeconfig`), cluster, client);
  };
  const manager = [
    ...controllerManagerArguments({
      kubeconfig: await kubeconfigOf("kube-controller-manager"),
      authority: authority.certificate,
      tokenKey,
      volumePluginFolder: join(place.folder, "volume-plugins"),
    }),
    `--node-monitor-grace-period=${settings.nodeGraceSeconds}s`,
  ];
  const scheduler = schedulerArguments(await kubeconfigOf("kube-scheduler"));
  return [
    startOnNode(place, "kube-controller-manager", programPath(programs, "kube-controller-manager"), manager),
    startOnNode(place, "kube-scheduler", programPath(programs, "kube-scheduler"), scheduler),
  ];
}
