/** Where the Python peers' interpreters are: built by `make python-peers` into a cache outside the checkout. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The published a2a-sdk lines the peers are built on: A2A 0.3 and 1.x. */
export const PYTHON_SDKS = ["03", "1"] as const;
export type PythonSdk = (typeof PYTHON_SDKS)[number];

/** What asks for the peers to be built. */
export const HOW_TO_BUILD = "make python-peers";

/** A program of this folder. */
export function peerFile(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

export function requirementsFile(sdk: PythonSdk): string {
  return peerFile(`requirements-${sdk}.txt`);
}

/** One folder for each state of the requirement files, so that checkouts of different states share the cache. */
export function peersFolder(env: NodeJS.ProcessEnv = process.env): string {
  const hash = createHash("sha256");
  for (const sdk of PYTHON_SDKS) hash.update(readFileSync(requirementsFile(sdk))).update("\0");
  const cache = env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "durable-agent", "python-peers", hash.digest("hex").slice(0, 16));
}

/** The environment of one SDK; whole once its stamp is there. */
export function venvFolder(sdk: PythonSdk): string {
  return join(peersFolder(), sdk);
}

export function stampFile(sdk: PythonSdk): string {
  return join(venvFolder(sdk), "built");
}

export function pythonPeersBuilt(): boolean {
  return PYTHON_SDKS.every((sdk) => existsSync(stampFile(sdk)));
}

/** Command and first arguments that run a program of this folder; throws with what to do where nothing is built. */
export function pythonCommand(sdk: PythonSdk, program: string): [command: string, args: string[]] {
  if (!existsSync(stampFile(sdk))) throw new Error(`the Python peers are not built: ${HOW_TO_BUILD}`);
  // -B: a checkout keeps no compiled files.
  return [join(venvFolder(sdk), "bin", "python"), ["-B", peerFile(program)]];
}
