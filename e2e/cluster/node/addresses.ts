// Names and addresses of the cluster on this machine. All nodes hang on one bridge without an uplink: the machine reaches
// nodes, pods and Services by routes, and nothing of the cluster reaches the outside or is reached from there.

/** The bridge on the machine and the machine's own address on it. */
export const bridge = { name: "da-nodes", address: "10.90.0.1", prefixLength: 24 } as const;

/** Address range of Services, the address of the API server's own Service, and that of the cluster's DNS. */
export const services = { range: "10.96.0.0/16", apiServer: "10.96.0.1", dns: "10.96.0.10" } as const;

/** Every pod of every node. */
export const allPods = "10.244.0.0/16";

export const apiServerPort = 6443;
export const clusterDomain = "cluster.local";

/** Subtree of the control groups that holds everything of one node. */
export function cgroupOf(node: string): string {
  return `/durable-agent-${node}`;
}

/** Names and addresses of one node. */
export interface NodeAddress {
  /** Name in Kubernetes, and host name. */
  readonly name: string;
  readonly address: string;
  readonly podRange: string;
  /** Name of its network namespace and of the machine's end of its link. */
  readonly link: string;
}

/** The address of the API server that all nodes and tests use. */
export function apiServerUrl(): string {
  return `https://${nodeAddress(1).address}:${apiServerPort}`;
}

/** Addresses of node `index`, 1 … 9. Node 1 also runs the control plane. */
export function nodeAddress(index: number): NodeAddress {
  if (!Number.isInteger(index) || index < 1 || index > 9) throw new RangeError(`node index ${index} is not in 1 … 9`);
  return {
    name: `node${index}`,
    address: `10.90.0.${index + 1}`,
    podRange: `10.244.${index - 1}.0/24`,
    link: `da-node${index}`,
  };
}
