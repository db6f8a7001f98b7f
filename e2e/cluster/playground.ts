// A cluster for a person at the keyboard: everything that the documented commands take for granted, and nothing of the
// product installed.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { imageRegistry } from "./images/product.ts";
import { packTestImages } from "./images/test-images.ts";
import { locateNode } from "./node/machine.ts";
import { type NodeCluster, startNodeCluster } from "./node-cluster.ts";
import { installStores } from "./scenarios/support/installation.ts";
import { storeUrls } from "./scenarios/support/stores.ts";
import { workloadManifest } from "./scenarios/support/workload.ts";

/** What the documents' examples are about. */
const agent = { name: "researcher", namespace: "agents" } as const;

async function startWithImages(paths: Readonly<Record<string, string>>): Promise<NodeCluster> {
  const folder = await mkdtemp(join(tmpdir(), "cluster-images-"));
  try {
    const archive = join(folder, "images.tar");
    await packTestImages(archive, { busybox: paths.busybox ?? "", "nats-server": paths["nats-server"] ?? "" });
    const report = (line: string): void => console.log(line);
    return await startNodeCluster({ images: [archive], nodes: 2, isKept: true, report });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Starts it, or says what is missing; prints what to type. It stays until `down`. */
export async function startPlayground(): Promise<void> {
  const tools = locateNode(process.env);
  if (tools.kind === "missing") throw new Error(tools.how);
  const cluster = await startWithImages(tools.paths);
  await installStores(cluster);
  await cluster.kubectl(["create", "namespace", agent.namespace]);
  await cluster.kubectl(["apply", "-f", "-"], workloadManifest(agent));
  const rollout = ["rollout", "status", `deployment/${agent.name}`, "-n", agent.namespace, "--timeout=90s"];
  await cluster.kubectl(rollout);
  const { helm = "", kubectl = "" } = tools.paths;
  const nodePort = ["get", "service", agent.name, "-n", agent.namespace, "-o", "jsonpath={.spec.ports[0].nodePort}"];
  const folders = [...new Set([dirname(kubectl), dirname(helm)])];
  const lines = [
    `export PATH=${folders.join(":")}:$PATH`,
    `export KUBECONFIG=${cluster.kubeconfig}`,
    `export IMAGES=${imageRegistry} POSTGRES_URL=${storeUrls.postgres} NATS_URL=${storeUrls.nats}`,
    "# The agent's JSON-RPC, through its Service:",
    `export AGENT=http://${cluster.nodeAddress}:${await cluster.kubectl(nodePort)}/a2a/jsonrpc`,
  ];
  console.log(lines.join("\n"));
}
