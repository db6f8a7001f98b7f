// The process that holds a node's namespaces: pid 1 of its pid namespace, with an own view of mounts, host name and
// inter-process communication. Ending it ends every process of the node and drops every mount; that is the whole
// shutdown of a node, however far its start had come.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { NodeAddress } from "./addresses.ts";
import { runCommand } from "./command.ts";
import { networkNamespace } from "./network.ts";

/** Fixed paths of containerd, CNI and the kubelet. Each node sees an own empty file system there. */
export const privateFolders: readonly string[] = [
  "/run/netns",
  "/run/containerd",
  "/run/runc",
  "/var/lib/cni",
  "/var/lib/kubelet",
  "/var/log/containers",
];

const startDeadlineMs = 10_000;
const stopDeadlineMs = 20_000;

/** Runs as pid 1: prepares the mounts, says so, then waits; bash also reaps what is re-parented to it. */
const initScript = [
  "set -e",
  "mount --make-rshared /",
  "mount -t proc proc /proc",
  ...privateFolders.map((folder) => `mount -t tmpfs -o mode=755 node ${folder}`),
  'hostname "$1"',
  'touch "$2"',
  "trap 'exit 0' TERM INT",
  "while :; do sleep 3600 & wait $!; done",
  "",
].join("\n");

/** Ids of a holder, as seen by the machine. */
export interface Holder {
  /** pid 1 of the node. */
  readonly pid: number;
  /** Its parent on the machine, which ends when the whole node has ended. */
  readonly parentPid: number;
}

/** Starts the holder of `node`, whose network namespace must exist; the files of it go to `folder`. */
export async function startHolder(node: NodeAddress, folder: string): Promise<Holder> {
  const script = scriptPath(folder);
  const readyFile = join(folder, "holder.ready");
  writeFileSync(script, initScript);
  const unshare = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--propagation", "private"];
  const command = [`--net=${networkNamespace(node)}`, ...unshare, "/bin/bash", script, node.name, readyFile];
  const child = spawn("nsenter", command, { detached: true, stdio: "ignore" });
  child.unref();
  const parentPid = child.pid;
  if (parentPid === undefined) throw new Error("nsenter could not be started");
  const deadline = Date.now() + startDeadlineMs;
  while (!existsSync(readyFile)) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`the namespaces of ${node.name} did not start`);
    await delay(20);
  }
  const pid = Number(readFileSync(`/proc/${parentPid}/task/${parentPid}/children`, "utf8").trim());
  return { pid, parentPid };
}

function scriptPath(folder: string): string {
  return join(folder, "holder.sh");
}

/** Whether `pid` is (still) the holder whose files are in `folder`, and not a later process of the same id. */
export function isHolder(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(scriptPath(folder));
  } catch {
    return false;
  }
}

/** Ends the holder and waits until every process of the node is gone. Harmless when it has ended already. */
export async function stopHolder(holder: Holder, folder: string): Promise<void> {
  if (isHolder(holder.pid, folder)) process.kill(holder.pid, "SIGKILL");
  const deadline = Date.now() + stopDeadlineMs;
  while (isHolder(holder.pid, folder) || isHolder(holder.parentPid, folder)) {
    if (Date.now() > deadline) throw new Error(`process ${holder.pid} and its namespaces did not end`);
    await delay(20);
  }
}

/** Private folders that the machine lacks; they are created to mount on, and removed again later. */
export function missingPrivateFolders(): readonly string[] {
  return privateFolders.filter((folder) => !existsSync(folder));
}

/** Creates the private folders that the machine lacks. */
export function createPrivateFolders(): void {
  for (const folder of privateFolders) mkdirSync(folder, { recursive: true });
}

/** Removes `folders` again, each only if nobody else has begun to use it. */
export async function removePrivateFolders(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    if (!existsSync(folder) || readdirSync(folder).length > 0) continue;
    // The ip program mounts /run/netns onto itself.
    while (isMounted(folder)) await runCommand("umount", [folder]);
    rmdirSync(folder);
  }
}

function isMounted(folder: string): boolean {
  return readFileSync("/proc/mounts", "utf8").includes(` ${folder} `);
}
