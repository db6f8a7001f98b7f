// Configuration files of a node's servers. Pure: paths and addresses in, file contents out. JSON where YAML is expected
// (every reader of YAML takes it).

import { join } from "node:path";
import { allPods, cgroupOf, clusterDomain, type NodeAddress, services } from "./addresses.ts";

/** Image that holds a pod's namespaces; imported before the kubelet starts. */
export const pauseImage = "localhost/pause:1";

/** Where a node keeps what it writes, and the programs it is configured with. */
export interface NodeFiles {
  readonly folder: string;
  readonly runc: string;
  readonly cniFolder: string;
  /** Certificate of the authority that client certificates come from. */
  readonly authority: string;
  readonly servingCertificate: string;
  readonly servingKey: string;
}

/** Folder of the pods' logs: `<namespace>_<pod>_<uid>/<container>/<restarts>.log`. */
export function podLogsOf(folder: string): string {
  return join(folder, "pods");
}

/** Path of the socket that the kubelet and ctr talk to containerd through. */
export function containerdSocket(folder: string): string {
  return join(folder, "containerd.sock");
}

/** containerd's configuration (version 3). */
export function containerdConfiguration(files: NodeFiles): string {
  const quote = (value: string): string => JSON.stringify(value);
  return `version = 3
root = ${quote(join(files.folder, "containerd"))}
state = ${quote(join(files.folder, "containerd-state"))}
oom_score = 0
# "opt" creates a folder on the machine; the rest need devices that are not there.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = ${quote(containerdSocket(files.folder))}
[ttrpc]
  address = ${quote(join(files.folder, "containerd.ttrpc"))}
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = ${quote(pauseImage)}
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE (sandboxes, containers) no score may be lowered, and runc would fail for every pod.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = [${quote(files.cniFolder)}]
    conf_dir = ${quote(join(files.folder, "cni"))}
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = ${quote(files.runc)}
        SystemdCgroup = false
[plugins.'io.containerd.nri.v1.nri']
  disable = true
`;
}

/** Pod network: a bridge on the node, addresses from the node's own range, host ports. */
export function podNetworkConfiguration(node: NodeAddress, folder: string): string {
  const ipam = {
    type: "host-local",
    dataDir: join(folder, "ipam"),
    ranges: [[{ subnet: node.podRange }]],
    routes: [{ dst: "0.0.0.0/0" }],
  };
  return JSON.stringify({
    cniVersion: "1.0.0",
    name: "pods",
    plugins: [
      { type: "bridge", bridge: "cni0", isGateway: true, ipMasq: false, hairpinMode: true, ipam },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
}

/** The kubelet's configuration. */
export function kubeletConfiguration(node: NodeAddress, files: NodeFiles): string {
  return JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: "0.0.0.0",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: files.authority },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: files.servingCertificate,
    tlsPrivateKeyFile: files.servingKey,
    containerRuntimeEndpoint: `unix://${containerdSocket(files.folder)}`,
    // No systemd in the node's namespaces.
    cgroupDriver: "cgroupfs",
    cgroupRoot: cgroupOf(node.name),
    cgroupsPerQOS: true,
    enforceNodeAllocatable: ["pods"],
    // Since 1.35 the kubelet refuses version 1 unless told otherwise.
    failCgroupV1: false,
    failSwapOn: false,
    clusterDomain,
    clusterDNS: [services.dns],
    resolvConf: join(files.folder, "resolv.conf"),
    // Images cannot be pulled again, so none may be collected, and a full disk of the machine is not the node's affair.
    evictionHard: {
      "memory.available": "200Mi",
      "nodefs.available": "1%",
      "imagefs.available": "1%",
      "nodefs.inodesFree": "1%",
    },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    podLogsDir: podLogsOf(files.folder),
    volumePluginDir: join(files.folder, "volume-plugins"),
    nodeStatusUpdateFrequency: "5s",
    syncFrequency: "10s",
    maxPods: 110,
    oomScoreAdj: 0,
  });
}

/** kube-proxy's configuration. */
export function kubeProxyConfiguration(node: NodeAddress, kubeconfig: string): string {
  return JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig },
    mode: "iptables",
    clusterCIDR: allPods,
    hostnameOverride: node.name,
    bindAddress: "0.0.0.0",
    metricsBindAddress: "127.0.0.1:10249",
    healthzBindAddress: "127.0.0.1:10256",
    nodePortAddresses: ["primary"],
    oomScoreAdj: 0,
    // These limits belong to the machine and are read-only in a network namespace; 0 leaves them alone.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    iptables: { minSyncPeriod: "0.2s", syncPeriod: "30s" },
  });
}
