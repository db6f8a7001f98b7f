// One node: its network, namespaces and control groups, and in them containerd, the kubelet and kube-proxy.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ClusterAddress, writeKubeconfig } from "../kubeconfig.ts";
import { issueCertificate, type KeyPairFiles } from "../pki.ts";
import type { ServerProcess } from "../server-process.ts";
import { bridge, cgroupOf, nodeAddress } from "./addresses.ts";
import { createCgroups, removeCgroups } from "./cgroups.ts";
import {
  containerdConfiguration,
  containerdSocket,
  kubeletConfiguration,
  kubeProxyConfiguration,
  type NodeFiles,
  podNetworkConfiguration,
} from "./configuration.ts";
import { startHolder, stopHolder } from "./holder.ts";
import { connectNode, disconnectNode } from "./network.ts";
import { type NodePlace, runOnNode, startOnNode } from "./node-process.ts";
import { type ClusterState, nodeFolder, writeState } from "./state.ts";
import { waitUntil } from "./wait.ts";

/** Paths of the cluster's programs by name. */
export type Programs = Readonly<Record<string, string>>;

/** The path of one program; throws when the caller forgot to locate it. */
export function programPath(programs: Programs, name: string): string {
  const path = programs[name];
  if (path === undefined) throw new Error(`${name} was not located`);
  return path;
}

/** Creates network, control groups and namespaces of node `index` and remembers them in the state file first. */
export async function createPlace(
  folder: string,
  index: number,
  settings: { readonly state: ClusterState; readonly programs: Programs },
): Promise<NodePlace> {
  const { state, programs } = settings;
  const address = nodeAddress(index);
  const own = nodeFolder(folder, index);
  for (const name of ["log", "cni", "kubelet", "kubelet-certificates"]) mkdirSync(join(own, name), { recursive: true });
  state.nodes[index] = {};
  writeState(folder, state);
  const cgroupFiles = createCgroups(cgroupOf(address.name));
  await connectNode(index);
  const holder = await startHolder(address, own);
  state.nodes[index] = { holder };
  writeState(folder, state);
  const programFolder = join(programPath(programs, "kubelet"), "..");
  return { holderPid: holder.pid, cgroupFiles, folder: own, programFolder };
}

/** Removes what `createPlace` made, ending everything that runs there. Harmless for what is not there. */
export async function removePlace(folder: string, index: number, state: ClusterState): Promise<void> {
  const holder = state.nodes[index]?.holder;
  if (holder !== undefined) await stopHolder(holder, nodeFolder(folder, index));
  await disconnectNode(index);
  await removeCgroups(cgroupOf(nodeAddress(index).name));
}

/** Starts containerd on the node; `importImages` waits until it answers. */
export function startContainerd(place: NodePlace, index: number, files: NodeFiles, programs: Programs): ServerProcess {
  const configuration = join(place.folder, "containerd.toml");
  writeFileSync(configuration, containerdConfiguration(files));
  writeFileSync(
    join(place.folder, "cni", "10-pods.conflist"),
    podNetworkConfiguration(nodeAddress(index), place.folder),
  );
  return startOnNode(place, "containerd", programPath(programs, "containerd"), ["--config", configuration]);
}

/** Imports image archives into the node's containerd. */
export async function importImages(place: NodePlace, programs: Programs, archives: readonly string[]): Promise<void> {
  const ctr = programPath(programs, "ctr");
  const connection = ["--address", containerdSocket(place.folder), "--namespace", "k8s.io"];
  await waitUntil("containerd to answer", async () => {
    await runOnNode(place, ctr, [...connection, "version"]);
    return true;
  });
  for (const archive of archives) await runOnNode(place, ctr, [...connection, "images", "import", "--local", archive]);
}

/** Issues the node's certificates and names the files its servers are configured with. */
export async function prepareNodeFiles(
  place: NodePlace,
  index: number,
  settings: { readonly authority: KeyPairFiles; readonly programs: Programs },
): Promise<NodeFiles> {
  const node = nodeAddress(index);
  const serving = await issueCertificate(settings.authority, `kubelet-server-${node.name}`, {
    subject: `/O=system:nodes/CN=system:node:${node.name}`,
    usage: "server",
    names: [`DNS:${node.name}`, "DNS:localhost", `IP:${node.address}`, "IP:127.0.0.1"],
  });
  return {
    folder: place.folder,
    runc: programPath(settings.programs, "runc"),
    cniFolder: join(programPath(settings.programs, "cni/bridge"), ".."),
    authority: settings.authority.certificate,
    servingCertificate: serving.certificate,
    servingKey: serving.key,
  };
}

/** Settings of `startKubelet`. */
export interface KubeletSettings {
  readonly files: NodeFiles;
  readonly programs: Programs;
  readonly authority: KeyPairFiles;
  readonly cluster: ClusterAddress;
}

/** Starts kubelet and kube-proxy; the pause image must be imported and the API server must answer. */
export async function startKubelet(
  place: NodePlace,
  index: number,
  settings: KubeletSettings,
): Promise<readonly ServerProcess[]> {
  const { authority, cluster, programs } = settings;
  const node = nodeAddress(index);
  const kubeconfigOf = async (name: string, subject: string): Promise<string> => {
    const client = await issueCertificate(authority, `${name}-${node.name}`, { subject, usage: "client" });
    return await writeKubeconfig(join(place.folder, `${name}.kubeconfig`), cluster, client);
  };
  const kubelet = await kubeconfigOf("kubelet", `/O=system:nodes/CN=system:node:${node.name}`);
  const proxy = await kubeconfigOf("kube-proxy", "/CN=system:kube-proxy");
  const kubeletFile = join(place.folder, "kubelet.json");
  const proxyFile = join(place.folder, "kube-proxy.json");
  // Names outside the cluster are nobody's business in a test.
  writeFileSync(join(place.folder, "resolv.conf"), `nameserver ${bridge.address}\n`);
  writeFileSync(kubeletFile, kubeletConfiguration(node, settings.files));
  writeFileSync(proxyFile, kubeProxyConfiguration(node, proxy));
  const kubeletArguments = [
    `--config=${kubeletFile}`,
    `--kubeconfig=${kubelet}`,
    `--root-dir=${join(place.folder, "kubelet")}`,
    `--cert-dir=${join(place.folder, "kubelet-certificates")}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.address}`,
    `--runtime-cgroups=${cgroupOf(node.name)}/sys`,
  ];
  return [
    startOnNode(place, "kubelet", programPath(programs, "kubelet"), kubeletArguments),
    startOnNode(place, "kube-proxy", programPath(programs, "kube-proxy"), [`--config=${proxyFile}`]),
  ];
}
