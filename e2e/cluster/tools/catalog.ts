// The programs a test cluster is made of: where each comes from, which rung needs it, and where built ones are kept.
// Versions stand in one place, go.mod beside this file; the Go toolchain checks every download against go.sum.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * 1 = API server and etcd only; 2 = a real node with real pods, needs everything of rung 1 too; 3 = kind, which brings
 * its own Kubernetes and only needs its own program beside kubectl and helm.
 */
export type Rung = 1 | 2 | 3;

/** A program built from the Go module beside this file. */
export interface GoTool {
  /** File name below the cache's `bin` folder. */
  readonly name: string;
  readonly package: string;
  /** The module whose pinned version is the program's version; absent for our own code. */
  readonly module?: string;
  readonly rung: Rung;
}

/** A program of the distribution: found in PATH, else unpacked from its Debian packages without installing them. */
export interface SystemTool {
  readonly name: string;
  /** Packages (the program's own first) that hold it and the libraries that a small system lacks. */
  readonly packages: readonly string[];
  /** False where the machine's own copy will not do. */
  readonly isTakenFromPath: boolean;
  /** Unpacked programs by the name they get in the cache: the file's name in the packages, then leading arguments. */
  readonly programs: Readonly<Record<string, readonly [file: string, ...args: string[]]>>;
  readonly rung: Rung;
}

const kubernetes = "k8s.io/kubernetes";
const containerd = "github.com/containerd/containerd/v2";
const cni = "github.com/containernetworking/plugins";

/** Built programs in build order: what rung 1 needs first, so that it can be used while the rest is being built. */
export const goTools: readonly GoTool[] = [
  { name: "etcd", package: "go.etcd.io/etcd/server/v3", module: "go.etcd.io/etcd/server/v3", rung: 1 },
  { name: "kube-apiserver", package: `${kubernetes}/cmd/kube-apiserver`, module: kubernetes, rung: 1 },
  { name: "kubectl", package: `${kubernetes}/cmd/kubectl`, module: kubernetes, rung: 1 },
  {
    name: "kube-controller-manager",
    package: `${kubernetes}/cmd/kube-controller-manager`,
    module: kubernetes,
    rung: 1,
  },
  { name: "helm", package: "helm.sh/helm/v3/cmd/helm", module: "helm.sh/helm/v3", rung: 1 },
  {
    name: "nats-server",
    package: "github.com/nats-io/nats-server/v2",
    module: "github.com/nats-io/nats-server/v2",
    rung: 2,
  },
  { name: "kube-scheduler", package: `${kubernetes}/cmd/kube-scheduler`, module: kubernetes, rung: 2 },
  { name: "kubelet", package: `${kubernetes}/cmd/kubelet`, module: kubernetes, rung: 2 },
  { name: "kube-proxy", package: `${kubernetes}/cmd/kube-proxy`, module: kubernetes, rung: 2 },
  { name: "containerd", package: `${containerd}/cmd/containerd`, module: containerd, rung: 2 },
  {
    name: "containerd-shim-runc-v2",
    package: `${containerd}/cmd/containerd-shim-runc-v2`,
    module: containerd,
    rung: 2,
  },
  { name: "ctr", package: `${containerd}/cmd/ctr`, module: containerd, rung: 2 },
  { name: "cni/bridge", package: `${cni}/plugins/main/bridge`, module: cni, rung: 2 },
  { name: "cni/loopback", package: `${cni}/plugins/main/loopback`, module: cni, rung: 2 },
  { name: "cni/host-local", package: `${cni}/plugins/ipam/host-local`, module: cni, rung: 2 },
  { name: "cni/portmap", package: `${cni}/plugins/meta/portmap`, module: cni, rung: 2 },
  { name: "pause", package: "./pause", rung: 2 },
  { name: "kind", package: "sigs.k8s.io/kind", module: "sigs.k8s.io/kind", rung: 3 },
];

/** One program that behaves by the name it is called with. */
const iptablesNames = [
  "iptables",
  "iptables-save",
  "iptables-restore",
  "ip6tables",
  "ip6tables-save",
  "ip6tables-restore",
] as const;

/**
 * Programs of the distribution. runc is not built here because its seccomp support needs cgo and libseccomp's headers,
 * and without it no pod of the restricted security level starts. busybox goes into images, so it must be the static one.
 */
export const systemTools: readonly SystemTool[] = [
  { name: "runc", packages: ["runc"], isTakenFromPath: true, programs: { runc: ["runc"] }, rung: 2 },
  {
    name: "iptables",
    packages: [
      "iptables",
      "libip4tc2",
      "libip6tc2",
      "libmnl0",
      "libnetfilter-conntrack3",
      "libnfnetlink0",
      "libnftnl11",
      "libxtables12",
    ],
    isTakenFromPath: true,
    programs: Object.fromEntries(iptablesNames.map((name) => [name, ["xtables-nft-multi", name] as const])),
    rung: 2,
  },
  {
    name: "busybox",
    packages: ["busybox-static"],
    isTakenFromPath: false,
    programs: { busybox: ["busybox"] },
    rung: 2,
  },
];

/** Folder of the Go module and of this file. */
export const moduleFolder: string = import.meta.dirname;

/** The version of `module` that go.mod pins, e.g. "v1.36.3"; throws when it is not required there. */
export function pinnedVersion(module: string): string {
  const goMod = readFileSync(join(moduleFolder, "go.mod"), "utf8");
  for (const line of goMod.split("\n")) {
    const [name, version] = line.trim().split(/\s+/);
    if (name === module && version?.startsWith("v") === true) return version;
  }
  throw new Error(`go.mod in ${moduleFolder} does not require ${module}`);
}

/** What a built copy of `tool` is stamped with; another stamp means that it has to be built again. */
export function stampOf(tool: GoTool): string {
  return tool.module === undefined ? "local" : `${tool.module}@${pinnedVersion(tool.module)}`;
}

/**
 * Where built programs are kept: `CLUSTER_TOOLS` if set, else below `XDG_CACHE_HOME` or `~/.cache`, one folder per
 * Kubernetes version. Always outside the checkout, so that a clean checkout finds them again.
 */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.CLUSTER_TOOLS) return env.CLUSTER_TOOLS;
  const cache = env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "durable-agent", "cluster-tools", pinnedVersion(kubernetes));
}
