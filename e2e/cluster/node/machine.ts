// What a machine must offer so that a node can run on it.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cgroupObstacle } from "./cgroups.ts";
import { type LocatedTools, locateTools, toolsOfRung } from "../tools/locate.ts";
import { isInPath } from "../tools/search-path.ts";

const systemPrograms: readonly (readonly [program: string, debianPackage: string])[] = [
  ["ip", "iproute2"],
  ["nsenter", "util-linux"],
  ["unshare", "util-linux"],
  ["mount", "mount"],
  ["sysctl", "procps"],
  ["openssl", "openssl"],
  ["bash", "bash"],
];

/** Bit of CAP_SYS_ADMIN in the capability masks of /proc/self/status. */
const sysAdmin = 1n << 21n;

function mayAdministerSystem(): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return mask !== undefined && (BigInt(`0x${mask}`) & sysAdmin) !== 0n;
}

/** What a node does first, in namespaces that end with the script: an overlay like an image's, a bridge, a pair of links. */
const kernelTrial = `
cd "$1" && mkdir lower upper work merged
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
ip link add trial0 type bridge
ip link add trial1 type veth peer name trial2`;

/** Why this kernel, or the container around us, lets no node run; undefined: it does. */
function kernelObstacle(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "node-trial-"));
  try {
    const namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork"];
    const script = ["bash", "-e", "-c", kernelTrial, "trial", folder];
    execFileSync("unshare", [...namespaces, ...script], { encoding: "utf8", stdio: ["ignore", "ignore", "pipe"] });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as { readonly stderr?: string; readonly message: string };
    return (stderr || message).trim().split("\n")[0];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What keeps this machine from running a node, whatever programs there are; undefined: nothing. */
export function nodeObstacle(env: NodeJS.ProcessEnv): Extract<LocatedTools, { kind: "missing" }> | undefined {
  const missing = (names: readonly string[], how: string) => ({ kind: "missing", names, how }) as const;
  if (process.platform !== "linux")
    return missing(["Linux"], "a node needs Linux; use kind instead (E2E_CLUSTER=kind)");
  if (process.getuid?.() !== 0 || !mayAdministerSystem()) {
    return missing(["root"], "a node needs root with CAP_SYS_ADMIN (run this as root), or use kind (E2E_CLUSTER=kind)");
  }
  const absent = systemPrograms.filter(([program]) => !isInPath(program, env));
  if (absent.length === 0) {
    const obstacle = cgroupObstacle() ?? kernelObstacle();
    return obstacle === undefined
      ? undefined
      : missing(["kernel"], `a node needs more than this machine allows (${obstacle}); use kind (E2E_CLUSTER=kind)`);
  }
  const packages = [...new Set(absent.map(([, name]) => name))].join(" ");
  const programs = absent.map(([program]) => program);
  return missing(programs, `${programs.join(", ")} missing; install them (Debian: apt-get install ${packages})`);
}

/** Finds everything that a real node needs; otherwise says what is missing and how to get it. */
export function locateNode(env: NodeJS.ProcessEnv): LocatedTools {
  return nodeObstacle(env) ?? locateTools(toolsOfRung(2), env);
}
