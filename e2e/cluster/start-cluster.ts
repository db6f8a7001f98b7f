// Chooses how a cluster for scenarios is made: kind where `E2E_CLUSTER=kind`, else plain processes.

import type { Cluster, ClusterSettings } from "./cluster.ts";
import { locateKindCluster, startKindCluster } from "./kind-cluster.ts";
import { locateNodeCluster, startNodeCluster } from "./node-cluster.ts";
import type { LocatedTools } from "./tools/locate.ts";

function isKind(env: NodeJS.ProcessEnv): boolean {
  return env.E2E_CLUSTER === "kind";
}

/** Tells whether a cluster can be started here; tests use it to skip visibly, with the sentence to print. */
export function locateCluster(env: NodeJS.ProcessEnv): LocatedTools {
  return isKind(env) ? locateKindCluster(env) : locateNodeCluster(env);
}

/** Starts a cluster of the chosen kind; throws with the reason where that is not possible. */
export async function startCluster(env: NodeJS.ProcessEnv, settings: ClusterSettings = {}): Promise<Cluster> {
  return isKind(env) ? await startKindCluster(env, settings) : await startNodeCluster(settings);
}
