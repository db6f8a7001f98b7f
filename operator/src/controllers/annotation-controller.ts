/** Makes and removes the DurableAgents of annotated workloads. Keys are `kind/namespace/name`. */
import { createHash } from "node:crypto";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import type { Workload } from "../kubernetes/objects.ts";
import { durableAgents } from "../kubernetes/resource-types.ts";
import { type Cluster, ClusterError } from "../ports/cluster.ts";
import { planAnnotation } from "../reconcile/annotated-workloads.ts";
import type { Requeue } from "./work-queue.ts";

/** What the controller works with. */
export interface AnnotationControllerOptions {
  cluster: Cluster;
  workloads: { get(kind: string, namespace: string, name: string): Workload | undefined };
  /** The known DurableAgents of a namespace; a stale copy only costs a needless look. */
  agentsOf: (namespace: string) => DurableAgent[];
}

/** The handler of the queue. */
export function createAnnotationController(options: AnnotationControllerOptions): (key: string) => Promise<Requeue> {
  const { cluster, workloads } = options;
  return async (key) => {
    const [kind = "", namespace = "", name = ""] = key.split("/");
    const workload = workloads.get(kind, namespace, name);
    // The DurableAgent of a workload that is gone goes by its owner reference.
    if (workload === undefined) return {};
    // Every status of every workload passes here; only a difference is worth asking the server.
    if (planAnnotation(workload, options.agentsOf(namespace), digest).length === 0) return {};
    const agents = await cluster.list(durableAgents, { namespace });
    for (const step of planAnnotation(workload, agents, digest)) {
      if (step.kind === "delete") await cluster.delete(durableAgents, { namespace, name: step.name });
      else await createOnce(cluster, step.agent);
    }
    return {};
  };
}

async function createOnce(cluster: Cluster, agent: Parameters<Cluster["create"]>[1]): Promise<void> {
  try {
    await cluster.create(durableAgents, agent);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.fault !== "conflict") throw error;
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
