// Rung 3: a cluster made by kind, for machines with Docker where nobody is root and for hosted CI. It runs another build
// of Kubernetes than rung 2 does, with systemd, the second version of control groups and kind's own network.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cluster, ClusterSettings } from "./cluster.ts";
import { runKubectl } from "./kubectl.ts";
import { commandSucceeds, runCommand } from "./node/command.ts";
import { type LocatedTools, locateTools, toolsOfRung } from "./tools/locate.ts";
import { isInPath } from "./tools/search-path.ts";

/** kind's configuration: one node, or one for the control plane and the others for pods. */
function clusterConfiguration(nodes: number): string {
  const workers = Array.from({ length: nodes - 1 }, () => ({ role: "worker" }));
  const all = [{ role: "control-plane" }, ...workers];
  return JSON.stringify({ apiVersion: "kind.x-k8s.io/v1alpha4", kind: "Cluster", nodes: all });
}

const internalAddress = '{.items[0].status.addresses[?(@.type=="InternalIP")].address}';

/** Finds what kind needs; otherwise says what is missing and how to get it. */
export function locateKindCluster(env: NodeJS.ProcessEnv): LocatedTools {
  if (!isInPath("docker", env)) {
    return { kind: "missing", names: ["docker"], how: "docker missing; kind runs its nodes as containers" };
  }
  return locateTools(toolsOfRung(3), env);
}

/** Creates a cluster of its own (30–90 s, more when its node image has to be fetched first). */
export async function startKindCluster(env: NodeJS.ProcessEnv, settings: ClusterSettings): Promise<Cluster> {
  const tools = locateKindCluster(env);
  if (tools.kind === "missing") throw new Error(`kind: ${tools.how}`);
  const { kind = "", kubectl: kubectlPath = "" } = tools.paths;
  const folder = await mkdtemp(join(tmpdir(), "kind-cluster-"));
  const kubeconfig = join(folder, "kubeconfig");
  const name = ["--name", `durable-agent-${process.pid}`];
  let stopping: Promise<void> | undefined;
  const remove = async (): Promise<void> => {
    await runCommand(kind, ["delete", "cluster", ...name, "--kubeconfig", kubeconfig]);
    await rm(folder, { recursive: true, force: true });
  };
  const stop = (): Promise<void> => {
    stopping ??= remove();
    return stopping;
  };
  const kubectl = (args: readonly string[], input?: string): Promise<string> =>
    runKubectl(kubectlPath, kubeconfig, args, input);
  const loadImages = async (archive: string): Promise<void> => {
    await runCommand(kind, ["load", "image-archive", archive, ...name]);
  };
  try {
    if (!(await commandSucceeds("docker", ["info"]))) throw new Error("kind: the Docker daemon does not answer");
    const configuration = join(folder, "kind.json");
    await writeFile(configuration, clusterConfiguration(settings.nodes ?? 1));
    const create = [
      "create",
      "cluster",
      ...name,
      "--kubeconfig",
      kubeconfig,
      "--config",
      configuration,
      "--wait",
      "120s",
    ];
    await runCommand(kind, create);
    for (const archive of settings.images ?? []) await loadImages(archive);
    const nodeAddress = await kubectl(["get", "nodes", "-o", `jsonpath=${internalAddress}`]);
    return { kubeconfig, nodeAddress, kubectl, loadImages, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
