// Logs of pods that are gone. A kubelet removes them with the pod, and a scenario that replaces pods fails in the ones it
// no longer has; so while a run lasts every log file gets a second name, which costs no copy.

import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const intervalMs = 1_000;
/** Level of a warning in pino's numbers; errors are above it. */
const warning = 40;

/** Keeps the logs below the kubelets' folders `nodes` in `folder` until the returned function is called. */
export function keepLogs(nodes: readonly string[], folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  const timer = setInterval(() => keepNow(nodes, folder), intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** One look. A kubelet's folder holds `<namespace>_<pod>_<uid>/<container>/<restarts>.log`. */
export function keepNow(nodes: readonly string[], folder: string): void {
  for (const node of nodes) {
    for (const pod of list(node)) {
      for (const container of list(join(node, pod))) {
        for (const file of list(join(node, pod, container))) {
          const kept = join(folder, `${pod}_${container}_${file}`);
          if (!file.endsWith(".log") || existsSync(kept)) continue;
          try {
            linkSync(join(node, pod, container, file), kept);
          } catch {
            // Removed between the two looks.
          }
        }
      }
    }
  }
}

/** A folder that goes at any time. */
function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Paths of a namespace's kept logs. */
export function keptLogs(folder: string, namespace: string): readonly string[] {
  return list(folder)
    .filter((name) => name.startsWith(`${namespace}_`))
    .map((name) => join(folder, name));
}

/** The last warnings and errors in the logs, oldest first, each with its pod. */
export function warningsOf(logs: readonly string[], most: number): readonly string[] {
  return logs
    .flatMap((path) => {
      const [, pod = ""] = path.slice(path.lastIndexOf("/") + 1).split("_");
      return readFileSync(path, "utf8")
        .split("\n")
        .flatMap((line) => warningIn(line, pod));
    })
    .sort()
    .slice(-most);
}

/** A container runtime puts time, stream and completeness before what a program has written. */
function warningIn(line: string, pod: string): readonly string[] {
  const begin = line.indexOf("{");
  if (begin === -1) return [];
  try {
    const { level, time, ...rest } = JSON.parse(line.slice(begin)) as {
      readonly level?: number;
      readonly time?: string;
    };
    return level !== undefined && level >= warning ? [`${time} ${pod} ${JSON.stringify(rest)}`] : [];
  } catch {
    return [];
  }
}
