// What a cluster has changed on the machine, kept in a file and written before each change, so that another process can
// take the cluster down, also one whose start was cut short.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Holder } from "./holder.ts";
import type { SavedSysctls } from "./sysctls.ts";

/** The traces of a cluster on the machine. */
export interface ClusterState {
  /** Nodes whose network or namespaces may exist, by index. */
  nodes: Record<number, { holder?: Holder }>;
  sysctls: SavedSysctls;
  /** The process without which nobody needs the cluster; absent when it was started to stay. */
  ownerPid?: number;
  /** Folders of the machine that did not exist before. */
  createdFolders: readonly string[];
  /** Image archives that a further node gets too. */
  images?: readonly string[];
}

function stateFile(folder: string): string {
  return join(folder, "state.json");
}

/** The folder of one node's files. */
export function nodeFolder(folder: string, index: number): string {
  return join(folder, `node${index}`);
}

/** Reads the state of the cluster in `folder`; undefined when there is none. */
export function readState(folder: string): ClusterState | undefined {
  if (!existsSync(stateFile(folder))) return undefined;
  return JSON.parse(readFileSync(stateFile(folder), "utf8")) as ClusterState;
}

/** Writes the state; call it before the change it announces. */
export function writeState(folder: string, state: ClusterState): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  writeFileSync(stateFile(folder), JSON.stringify(state));
}
