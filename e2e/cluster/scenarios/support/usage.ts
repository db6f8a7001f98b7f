// What the operator's containers have used, as the kubelets of their nodes count it.

import { getObject, kubectl } from "./cluster-access.ts";
import { operatorSelector } from "./installation.ts";
import { systemNamespace } from "./stores.ts";

/** Use of one container. */
export interface Usage {
  /** Processor time since its start. */
  readonly cpuNanoseconds: number;
  readonly memoryBytes: number;
  /** When it was measured, milliseconds since the epoch. */
  readonly at: number;
}

interface Summary {
  readonly pods: readonly {
    readonly podRef: { readonly name: string };
    readonly containers: readonly {
      readonly cpu: { readonly time: string; readonly usageCoreNanoSeconds: number };
      readonly memory: { readonly workingSetBytes: number };
    }[];
  }[];
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly nodeName: string };
  }[];
}

/** Use of every pod of the operator, by the pod's name. */
export async function operatorUsage(): Promise<ReadonlyMap<string, Usage>> {
  const { items } = await getObject<PodList>("pods", "-n", systemNamespace, "-l", operatorSelector);
  const usage = new Map<string, Usage>();
  for (const { metadata, spec } of items) {
    const summary = JSON.parse(
      await kubectl(["get", "--raw", `/api/v1/nodes/${spec.nodeName}/proxy/stats/summary`]),
    ) as Summary;
    const [container] = summary.pods.find((pod) => pod.podRef.name === metadata.name)?.containers ?? [];
    if (container === undefined) continue;
    const { cpu, memory } = container;
    usage.set(metadata.name, {
      cpuNanoseconds: cpu.usageCoreNanoSeconds,
      memoryBytes: memory.workingSetBytes,
      at: Date.parse(cpu.time),
    });
  }
  return usage;
}
