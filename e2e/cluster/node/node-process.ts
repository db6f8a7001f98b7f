// Programs that run inside a node's namespaces and control groups.

import { join } from "node:path";
import { type ServerProcess, startServer } from "../server-process.ts";
import { runCommand } from "./command.ts";

/** A node whose namespaces exist. */
export interface NodePlace {
  /** pid of the holder of its namespaces, as seen by the machine. */
  readonly holderPid: number;
  /** Files that a process writes its id into to join the node's control groups. */
  readonly cgroupFiles: readonly string[];
  /** Folder of the node's files; logs go to `log` in it. */
  readonly folder: string;
  /** Folder of the cluster's programs, first in PATH of everything on the node. */
  readonly programFolder: string;
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function insideNamespaces(place: NodePlace): readonly string[] {
  return ["--target", String(place.holderPid), "--mount", "--net", "--pid", "--uts", "--ipc", "--"];
}

/** Starts a server on the node. It lives until the node's holder ends, whoever started it. */
export function startOnNode(place: NodePlace, name: string, path: string, args: readonly string[]): ServerProcess {
  const joinGroups = place.cgroupFiles.map((file) => `echo $$ > '${file}'`).join("; ");
  const script = `${joinGroups}; exec env -i HOME=/root PATH='${place.programFolder}:${systemPath}' "$@"`;
  return startServer({
    name,
    path: "/usr/bin/nsenter",
    args: [...insideNamespaces(place), "/bin/bash", "-c", script, name, path, ...args],
    logFile: join(place.folder, "log", `${name}.log`),
    isIndependent: true,
  });
}

/** Runs a program on the node to its end and resolves to its output. */
export async function runOnNode(place: NodePlace, path: string, args: readonly string[]): Promise<string> {
  return await runCommand("/usr/bin/nsenter", [...insideNamespaces(place), path, ...args]);
}
