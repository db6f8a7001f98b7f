// Chooses how a cluster for scenarios is made: kind where `E2E_CLUSTER=kind`, else plain processes.

import type { Cluster, ClusterSettings } from "./cluster.ts";
import { locateKindCluster, startKindCluster } from "./kind-cluster.ts";
import { attachNodeCluster, locateNodeCluster, startNodeCluster } from "./node-cluster.ts";
import type { LocatedTools } from "./tools/locate.ts";

function isKind(env: NodeJS.ProcessEnv): boolean {
  return env.E2E_CLUSTER === "kind";
}

/** Whether the cluster stays after the run and is used again by the next one. */
export function isKept(env: NodeJS.ProcessEnv): boolean {
  return env.E2E_KEEP === "1" && !isKind(env);
}

/** Tells whether a cluster can be started here; tests use it to skip visibly, with the sentence to print. */
export function locateCluster(env: NodeJS.ProcessEnv): LocatedTools {
  return isKind(env) ? locateKindCluster(env) : locateNodeCluster(env);
}

/** The running cluster of plain processes, with the images imported again; or a fresh one that stays. */
async function keptCluster(settings: ClusterSettings): Promise<Cluster> {
  const running = attachNodeCluster();
  for (const archive of settings.images ?? []) await running?.loadImages(archive);
  const cluster = running ?? (await startNodeCluster({ ...settings, isKept: true }));
  return { ...cluster, stop: async () => {} };
}

/**
 * Starts a cluster of the chosen kind; throws with the reason where that is not possible. With `E2E_KEEP=1` a cluster of
 * plain processes is used again if it runs, and left running (`node e2e/cluster/main.ts down` ends it).
 */
export async function startCluster(env: NodeJS.ProcessEnv, settings: ClusterSettings = {}): Promise<Cluster> {
  if (isKind(env)) return await startKindCluster(env, settings);
  return isKept(env) ? await keptCluster(settings) : await startNodeCluster(settings);
}
