// What is worth keeping of a failed scenario: warnings of its pods are printed, everything is written below `E2E_ARTIFACTS`
// where that is set.

import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { kubectl, requireCluster } from "./cluster-access.ts";
import { keptLogs, warningsOf } from "./kept-logs.ts";
import { systemNamespace } from "./stores.ts";

async function podNames(namespace: string): Promise<readonly string[]> {
  const names = await kubectl(["get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}"]);
  return names.split(" ").filter((name) => name !== "");
}

const mostWarnings = 40;

/** Saves objects, events and logs of a scenario's namespace and of the system's; never throws. */
export async function keepDiagnostics(scenario: string, namespace: string): Promise<void> {
  const logs = keptLogs(requireCluster().keptLogs, namespace);
  console.error(`${scenario}: what its pods warned of last\n${warningsOf(logs, mostWarnings).join("\n")}`);
  const root = process.env.E2E_ARTIFACTS;
  if (!root) return;
  const folder = join(root, scenario.replaceAll(/[^\w-]+/g, "-").slice(0, 80));
  mkdirSync(folder, { recursive: true });
  for (const log of logs) copyFileSync(log, join(folder, basename(log)));
  const save = async (file: string, args: readonly string[]): Promise<void> => {
    writeFileSync(join(folder, file), await kubectl(args).catch(String));
  };
  for (const space of [namespace, systemNamespace]) {
    const kinds = "pods,deployments,replicasets,statefulsets,services,endpointslices,durableagents,leases";
    await save(`${space}-objects.yaml`, ["get", kinds, "-n", space, "-o", "yaml"]);
    await save(`${space}-events.txt`, ["get", "events", "-n", space, "--sort-by=.lastTimestamp"]);
    for (const pod of logs.length > 0 && space === namespace ? [] : await podNames(space).catch(() => [])) {
      const log = ["logs", pod, "-n", space, "--all-containers", "--prefix", "--tail=2000"];
      await save(`${pod}.log`, log);
      await save(`${pod}-previous.log`, [...log, "--previous"]);
    }
  }
}
