// The product on a cluster, installed the way the README tells users to: with the chart.

import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { Cluster } from "../../cluster.ts";
import { productImageNames } from "../../images/product.ts";
import { storeManifest, storeUrls, systemNamespace } from "./stores.ts";

const run = promisify(execFile);
const chart = join(resolve(import.meta.dirname, "../../../.."), "charts", "durable-agent");
const release = "durable-agent";

/** Label of the operator's pods. */
export const operatorSelector = "app.kubernetes.io/component=operator";

/** What helm needs to know of a cluster. */
export interface HelmTarget {
  readonly helm: string;
  readonly kubeconfig: string;
}

async function helm(target: HelmTarget, args: readonly string[]): Promise<void> {
  const scope = ["--kubeconfig", target.kubeconfig, "--namespace", systemNamespace];
  const env = { PATH: process.env.PATH, HOME: join(target.kubeconfig, "..", "helm") };
  await run(target.helm, [...args, ...scope], { env, maxBuffer: 64 * 1024 * 1024 });
}

function imageValues(key: string, image: string): readonly string[] {
  const [repository, tag] = image.split(":");
  return [`${key}.repository=${repository}`, `${key}.tag=${tag}`, `${key}.pullPolicy=Never`];
}

/** Installs or upgrades the operator, with two replicas, and waits until its pods are ready. */
export async function installOperator(target: HelmTarget, values: readonly string[] = []): Promise<void> {
  const settings = [
    ...imageValues("image", productImageNames.operator),
    ...imageValues("sidecar.image", productImageNames.sidecar),
    `postgres.url=${storeUrls.postgres}`,
    `nats.url=${storeUrls.nats}`,
    // Images keep their names when they are built again; another annotation makes other pods.
    `podAnnotations.started=at-${Date.now()}`,
    ...values,
  ];
  const set = settings.flatMap((value) => ["--set", value]);
  const highlyAvailable = ["-f", join(chart, "values-ha.yaml")];
  await helm(target, [
    "upgrade",
    "--install",
    release,
    chart,
    ...highlyAvailable,
    ...set,
    "--wait",
    "--timeout",
    "120s",
  ]);
}

/** Removes the operator the way a user does; resolves when the chart's own clean-up has ended. */
export async function uninstallOperator(target: HelmTarget): Promise<void> {
  await helm(target, ["uninstall", release, "--wait", "--timeout", "180s"]);
}

/** Brings Postgres and NATS to a fresh cluster. */
export async function installStores(cluster: Pick<Cluster, "kubectl">): Promise<void> {
  const nodes = await cluster.kubectl(["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]);
  // The last node is a worker where there are several.
  const dataNode = nodes.split(" ").at(-1) ?? "";
  await cluster.kubectl(["apply", "-f", "-"], storeManifest(dataNode));
  for (const store of ["postgres", "nats"]) {
    const status = ["rollout", "status", `statefulset/${store}`, "-n", systemNamespace, "--timeout=90s"];
    await cluster.kubectl(status);
  }
}

/** Brings Postgres, NATS and the operator to a fresh cluster. */
export async function installEverything(cluster: Cluster, helmPath: string): Promise<void> {
  await installStores(cluster);
  await installOperator({ helm: helmPath, kubeconfig: cluster.kubeconfig });
}
