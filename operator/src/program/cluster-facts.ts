/** What has to be known of a cluster before the first pod is admitted. */
import { setTimeout as delay } from "node:timers/promises";
import { namespaces } from "../kubernetes/resource-types.ts";
import type { Cluster } from "../ports/cluster.ts";

const retryMs = 1_000;
const versionReadMs = 600_000;

/** Tells clusters apart that share a database. Waits for the API server: nothing works without it. */
export async function readClusterId(cluster: Cluster, onFault: (error: unknown) => void): Promise<string> {
  for (;;) {
    const system = await cluster.read(namespaces, { name: "kube-system" }).catch(onFault);
    if (system?.metadata.uid !== undefined) return system.metadata.uid.replaceAll("-", "").slice(0, 8);
    await delay(retryMs);
  }
}

/** The server's version, read again from time to time because servers are upgraded. */
export interface VersionFollower {
  current(): { major: number; minor: number };
  stop(): void;
}

/** Reads the version and keeps it current. */
export async function followVersion(cluster: Cluster, onFault: (error: unknown) => void): Promise<VersionFollower> {
  let version = await cluster.version();
  const timer = setInterval(() => {
    cluster.version().then((read) => {
      version = read;
    }, onFault);
  }, versionReadMs);
  return { current: () => version, stop: () => clearInterval(timer) };
}
