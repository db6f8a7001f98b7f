// What a cluster changes on the machine, for proving that nothing of it is left.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { defaultFolder } from "../node-cluster.ts";
import { cgroupOf, nodeAddress } from "./addresses.ts";
import { privateFolders } from "./holder.ts";
import { saveSysctls } from "./sysctls.ts";

/** A picture of mounts, links, routes, control groups, folders and settings; empty where there is no /proc. */
export function machineTraces(): unknown {
  if (process.platform !== "linux") return {};
  const group = cgroupOf(nodeAddress(1).name);
  return {
    mounts: readFileSync("/proc/mounts", "utf8"),
    // Links and routes that are not of a cluster by name may come and go with other programs.
    links: readdirSync("/sys/class/net").filter((name) => name.startsWith("da-")),
    routes: readFileSync("/proc/net/route", "utf8").includes("da-nodes"),
    groups: ["", ...readdirSync("/sys/fs/cgroup")].filter((name) => existsSync(`/sys/fs/cgroup/${name}${group}`)),
    folders: [...privateFolders, defaultFolder()].filter((path) => existsSync(path)),
    sysctls: saveSysctls(),
  };
}
