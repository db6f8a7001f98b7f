// Settings of the machine's kernel that a kubelet changes for everybody: remembered before and put back afterwards.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const changedByKubelet = ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"];
const keyLimits = ["kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"];
const inotifyInstances = "fs/inotify/max_user_instances";

/** The machine's values by path below /proc/sys. */
export type SavedSysctls = Readonly<Record<string, string>>;

function pathOf(name: string): string {
  return join("/proc/sys", name);
}

/** Reads the values that a node will change. */
export function saveSysctls(): SavedSysctls {
  const names = [...changedByKubelet, ...keyLimits, inotifyInstances];
  return Object.fromEntries(names.map((name) => [name, readFileSync(pathOf(name), "utf8").trim()]));
}

/** Raises the number of inotify instances: every pod takes some, and the usual 128 are for the whole machine. */
export function raiseInotifyLimit(saved: SavedSysctls): void {
  if (Number(saved[inotifyInstances]) < 1024) writeFileSync(pathOf(inotifyInstances), "1024");
}

/** Puts the saved values back. */
export function restoreSysctls(saved: SavedSysctls): void {
  for (const [name, value] of Object.entries(saved)) {
    if (readFileSync(pathOf(name), "utf8").trim() !== value) writeFileSync(pathOf(name), value);
  }
}
