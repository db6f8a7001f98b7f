// One cluster with everything installed for all scenarios of a run. Where that is not possible it says why, once, and the
// scenarios count as skipped.

import { deepStrictEqual } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import type { Cluster } from "../cluster.ts";
import { builtRooms, type ImagePrograms, packTestImages } from "../images/test-images.ts";
import { machineTraces } from "../node/machine-traces.ts";
import { isKept, locateCluster, startCluster } from "../start-cluster.ts";
import { installEverything } from "./support/installation.ts";
import { keepLogs } from "./support/kept-logs.ts";

/** What tests get to know of the cluster; paths and addresses only, because tests run in processes of their own. */
export interface ClusterAccess {
  readonly kubeconfig: string;
  readonly nodeAddress: string;
  readonly kubectl: string;
  readonly helm: string;
  /** Path of the API server's audit log, where it can be read from here. */
  readonly auditLog: string | undefined;
  /** Folder of the logs of all pods of the run, also of those that are gone; empty where they cannot be read from here. */
  readonly keptLogs: string;
}

declare module "vitest" {
  export interface ProvidedContext {
    cluster: ClusterAccess | undefined;
  }
}

async function packImages(folder: string, paths: Readonly<Record<string, string>>): Promise<string> {
  const archive = join(folder, "images.tar");
  const programs: ImagePrograms = { busybox: paths.busybox ?? "", "nats-server": paths["nats-server"] ?? "" };
  await packTestImages(archive, programs);
  return archive;
}

/** Starts the cluster; returns what vitest calls at the end. */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const tools = locateCluster(process.env);
  const unbuilt = (["sidecar", "operator"] as const).filter((room) => !builtRooms().includes(room));
  if (tools.kind === "missing" || unbuilt.length > 0) {
    const how = tools.kind === "missing" ? tools.how : `not built: ${unbuilt.join(", ")}; \`npm run build\` does that`;
    console.warn(`SKIP scenarios on a cluster: ${how}`);
    project.provide("cluster", undefined);
    return undefined;
  }
  const before = machineTraces();
  const folder = await mkdtemp(join(tmpdir(), "cluster-images-"));
  let cluster: Cluster | undefined;
  let stopKeeping = (): void => {};
  const stop = async (): Promise<void> => {
    stopKeeping();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
    if (isKept(process.env)) return;
    deepStrictEqual(machineTraces(), before, "the cluster has left traces on this machine");
  };
  try {
    const archive = await packImages(folder, tools.paths);
    cluster = await startCluster(process.env, { images: [archive], nodes: 2 });
    const { helm = "", kubectl = "" } = tools.paths;
    await installEverything(cluster, helm);
    const { kubeconfig, nodeAddress, auditLog } = cluster;
    const keptLogs = join(folder, "logs");
    stopKeeping = keepLogs(cluster.podLogs ?? [], keptLogs);
    project.provide("cluster", { kubeconfig, nodeAddress, kubectl, helm, auditLog, keptLogs });
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}
