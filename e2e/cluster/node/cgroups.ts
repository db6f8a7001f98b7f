// A node's subtree of the control groups: everything the node runs is inside, so its use can be read and limited, and
// nothing of it is left when the node is gone. Works with version 1 (one hierarchy per controller, also next to an empty
// version 2 tree) and with version 2.

import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Controllers that the kubelet and runc use. */
const controllers = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"];

interface Hierarchy {
  readonly path: string;
  readonly kind: "version 1" | "version 2" | "empty version 2 beside version 1";
}

/** Where the hierarchies are mounted; more than one with version 1. */
function hierarchies(): readonly Hierarchy[] {
  const mounts = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, path = "", type]) => (type === "cgroup" || type === "cgroup2") && path.startsWith("/sys/fs/cgroup"));
  const hasVersion1 = mounts.some(([, , type]) => type === "cgroup");
  return mounts.map(([, path = "", type]) => {
    if (type === "cgroup") return { path, kind: "version 1" };
    return { path, kind: hasVersion1 ? "empty version 2 beside version 1" : "version 2" };
  });
}

/** Why no group can be created here; undefined: it can. */
export function cgroupObstacle(): string | undefined {
  const found = hierarchies();
  if (found.length === 0) return "no control groups below /sys/fs/cgroup";
  try {
    for (const { path } of found) accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** With version 2 a controller works in a group only if every group above hands it down. */
function handDownControllers(group: string): void {
  const available = new Set(readFileSync(join(group, "cgroup.controllers"), "utf8").trim().split(" "));
  const wanted = controllers.filter((name) => available.has(name)).map((name) => `+${name}`);
  if (wanted.length > 0) writeFileSync(join(group, "cgroup.subtree_control"), wanted.join(" "));
}

/** With version 1 a new cpuset is empty and refuses every process. */
function copyCpuset(parent: string, group: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if (existsSync(join(parent, file))) writeFileSync(join(group, file), readFileSync(join(parent, file)));
  }
}

/**
 * Creates the subtree `cgroup` (for pods) with a group `sys` in it (for the node's servers). Resolves to the files that
 * a process has to write its id into to be in `sys`.
 */
export function createCgroups(cgroup: string): readonly string[] {
  return hierarchies().map(({ path, kind }) => {
    const root = join(path, cgroup);
    const system = join(root, "sys");
    mkdirSync(root, { recursive: true });
    if (kind === "version 2") {
      handDownControllers(path);
      handDownControllers(root);
    }
    if (kind === "version 1") copyCpuset(path, root);
    mkdirSync(system, { recursive: true });
    if (kind === "version 1") copyCpuset(root, system);
    return join(system, "cgroup.procs");
  });
}

/** Removes an empty subtree; false while something in it still lives. */
function removeTree(path: string): boolean {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  }
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Removes the subtree once its last process is gone; throws when it is still in use after `deadlineMs`. */
export async function removeCgroups(cgroup: string, deadlineMs = 10_000): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  for (const { path } of hierarchies()) {
    const root = join(path, cgroup);
    while (existsSync(root) && !removeTree(root)) {
      if (Date.now() > deadline) throw new Error(`control group ${root} is still in use`);
      await delay(100);
    }
  }
}
