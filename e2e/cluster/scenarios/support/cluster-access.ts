// A test's way to the cluster of the run.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { inject } from "vitest";
import { runKubectl } from "../../kubectl.ts";
import type { ClusterAccess } from "../global-setup.ts";

/** The cluster of the run; undefined where there is none and scenarios are skipped. */
export const clusterAccess: ClusterAccess | undefined = inject("cluster");

/** The cluster of the run, for code that only runs when there is one. */
export function requireCluster(): ClusterAccess {
  if (clusterAccess === undefined) throw new Error("there is no cluster; skip this");
  return clusterAccess;
}

/** Runs kubectl as admin and resolves to its output; rejects with its message when it fails. */
export async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const { kubectl: path, kubeconfig } = requireCluster();
  return await runKubectl(path, kubeconfig, args, input);
}

/** Applies a manifest. */
export async function apply(manifest: string): Promise<void> {
  await kubectl(["apply", "-f", "-"], manifest);
}

/** Environment in which `kubectl` and `helm` without further words are those of the run and reach its cluster. */
export function userEnvironment(): NodeJS.ProcessEnv {
  const { kubectl: kubectlPath, helm, kubeconfig } = requireCluster();
  const folders = [dirname(kubectlPath), dirname(helm), process.env.PATH];
  // Helm's own files and kubectl's cache go with the cluster.
  return { PATH: folders.join(":"), KUBECONFIG: kubeconfig, HOME: join(dirname(kubeconfig), "home") };
}

/** Reads one object as JSON. */
export async function getObject<T>(...args: readonly string[]): Promise<T> {
  return JSON.parse(await kubectl(["get", ...args, "-o", "json"])) as T;
}

/** A running `kubectl proxy`: this machine's way to single pods on every kind of cluster. */
export interface PodProxy {
  /** URL that leads to a port of one pod. */
  urlOf(namespace: string, pod: string, port: number): string;
  close(): void;
}

/** Starts a proxy on a random loopback port. */
export async function openPodProxy(): Promise<PodProxy> {
  const { kubectl: path, kubeconfig } = requireCluster();
  const child: ChildProcess = spawn(path, ["--kubeconfig", kubeconfig, "proxy", "--port=0"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  if (child.stdout === null) throw new Error("kubectl proxy has no output");
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const address = /127\.0\.0\.1:\d+/.exec(line)?.[0];
  if (address === undefined) throw new Error(`kubectl proxy said "${line}"`);
  return {
    urlOf: (namespace, pod, port) => `http://${address}/api/v1/namespaces/${namespace}/pods/${pod}:${port}/proxy`,
    close: () => {
      child.kill();
    },
  };
}
