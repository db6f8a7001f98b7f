// Finds the cluster's programs; says which are missing and how to get them.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, type GoTool, goTools, type Rung, type SystemTool, stampOf, systemTools } from "./catalog.ts";
import { findInPath, isExecutable } from "./search-path.ts";

/** Result of `locateTools`: the path of every program by name, or the sentence to show to the person at the keyboard. */
export type LocatedTools =
  | { readonly kind: "found"; readonly paths: Readonly<Record<string, string>> }
  | { readonly kind: "missing"; readonly names: readonly string[]; readonly how: string };

/** Names that an archive for KUBEBUILDER_ASSETS holds. */
const envtestTools = new Set(["etcd", "kube-apiserver", "kubectl"]);

/**
 * A tool of the Go module: from `KUBEBUILDER_ASSETS` where that is set and holds it, else the copy in the cache if it
 * was built from the version that go.mod pins.
 */
export function findGoTool(tool: GoTool, env: NodeJS.ProcessEnv): string | undefined {
  if (env.KUBEBUILDER_ASSETS && envtestTools.has(tool.name)) {
    const asset = join(env.KUBEBUILDER_ASSETS, tool.name);
    if (isExecutable(asset)) return asset;
  }
  const built = join(cacheFolder(env), "bin", tool.name);
  const stamp = `${built}.stamp`;
  if (!isExecutable(built) || !existsSync(stamp) || readFileSync(stamp, "utf8") !== stampOf(tool)) return undefined;
  return built;
}

/** A tool of the distribution: from PATH where that will do, else the unpacked copy in the cache. */
export function findSystemTool(tool: SystemTool, env: NodeJS.ProcessEnv): string | undefined {
  const installed = tool.isTakenFromPath ? findInPath(tool.name, env) : undefined;
  const path = installed ?? join(cacheFolder(env), "bin", tool.name);
  return isExecutable(path) ? path : undefined;
}

/** The names of all programs that `rung` needs. */
export function toolsOfRung(rung: Rung): readonly string[] {
  if (rung === 3) return ["kind", "kubectl", "helm", "nats-server", "busybox"];
  return [...goTools, ...systemTools].filter((tool) => tool.rung <= rung).map((tool) => tool.name);
}

/** Finds the programs called `names`; otherwise says which are missing and the command that gets them. */
export function locateTools(names: readonly string[], env: NodeJS.ProcessEnv): LocatedTools {
  const paths: Record<string, string> = {};
  for (const tool of goTools) {
    const path = names.includes(tool.name) ? findGoTool(tool, env) : undefined;
    if (path !== undefined) paths[tool.name] = path;
  }
  for (const tool of systemTools) {
    const path = names.includes(tool.name) ? findSystemTool(tool, env) : undefined;
    if (path !== undefined) paths[tool.name] = path;
  }
  const missing = names.filter((name) => !(name in paths));
  if (missing.length === 0) return { kind: "found", paths };
  const canUseEnvtest = missing.every((name) => envtestTools.has(name));
  return {
    kind: "missing",
    names: missing,
    how:
      `${missing.join(", ")} missing; \`make cluster-tools\` builds what is missing once, with Go, into ${cacheFolder(env)}` +
      (canUseEnvtest ? " (or point KUBEBUILDER_ASSETS at an unpacked envtest archive)" : ""),
  };
}
