// Command line of the cluster without Docker.
//
//   node e2e/cluster/main.ts up [--nodes N] [image.tar …]   starts it and prints the kubeconfig's path
//   node e2e/cluster/main.ts playground                     the same with everything that the documented commands need
//   node e2e/cluster/main.ts load image.tar …               imports images on every node
//   node e2e/cluster/main.ts add-node
//   node e2e/cluster/main.ts down

import { parseArgs } from "node:util";
import { startPlayground } from "./playground.ts";
import { attachNodeCluster, type NodeCluster, startNodeCluster, stopNodeCluster } from "./node-cluster.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { nodes: { type: "string" } } });
const [command = "", ...archives] = positionals;

function running(): NodeCluster {
  const cluster = attachNodeCluster();
  if (cluster === undefined) throw new Error("no cluster is running; start one with `up`");
  return cluster;
}

const commands: Readonly<Record<string, () => Promise<void>>> = {
  up: async () => {
    const nodes = Number(values.nodes ?? 1);
    const report = (line: string): void => console.log(line);
    const cluster = await startNodeCluster({ images: archives, nodes, isKept: true, report });
    console.log(`export KUBECONFIG=${cluster.kubeconfig}`);
  },
  playground: startPlayground,
  load: async () => {
    for (const archive of archives) await running().loadImages(archive);
  },
  "add-node": async () => console.log(await running().addNode()),
  down: async () => await stopNodeCluster(),
};

const run = commands[command];
if (run === undefined) {
  console.error(
    "usage: node e2e/cluster/main.ts up [--nodes N] [image.tar …] | playground | load image.tar … | add-node | down",
  );
  process.exitCode = 64;
} else {
  await run();
}
