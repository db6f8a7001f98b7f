// What is worth keeping of a failed scenario, written below `E2E_ARTIFACTS` where that is set.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kubectl } from "./cluster-access.ts";
import { systemNamespace } from "./stores.ts";

async function podNames(namespace: string): Promise<readonly string[]> {
  const names = await kubectl(["get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}"]);
  return names.split(" ").filter((name) => name !== "");
}

/** Saves objects, events and logs of a scenario's namespace and of the system's; never throws. */
export async function keepDiagnostics(scenario: string, namespace: string): Promise<void> {
  const root = process.env.E2E_ARTIFACTS;
  if (!root) return;
  const folder = join(root, scenario.replaceAll(/[^\w-]+/g, "-").slice(0, 80));
  mkdirSync(folder, { recursive: true });
  const save = async (file: string, args: readonly string[]): Promise<void> => {
    writeFileSync(join(folder, file), await kubectl(args).catch(String));
  };
  for (const space of [namespace, systemNamespace]) {
    const kinds = "pods,deployments,replicasets,statefulsets,services,endpointslices,durableagents,leases";
    await save(`${space}-objects.yaml`, ["get", kinds, "-n", space, "-o", "yaml"]);
    await save(`${space}-events.txt`, ["get", "events", "-n", space, "--sort-by=.lastTimestamp"]);
    for (const pod of await podNames(space).catch(() => [])) {
      const log = ["logs", pod, "-n", space, "--all-containers", "--prefix", "--tail=2000"];
      await save(`${pod}.log`, log);
      await save(`${pod}-previous.log`, [...log, "--previous"]);
    }
  }
}
