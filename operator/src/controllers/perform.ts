/** Carries out one action of a plan. Rejects with ClusterError; doing an action twice is harmless. */
import { ANNOTATIONS, LABELS } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { durableAgents, secrets, services, workloadType } from "../kubernetes/resource-types.ts";
import { type Cluster, ClusterError } from "../ports/cluster.ts";
import { finalizer } from "../reconcile/names.ts";
import { buildOwnSecret } from "../reconcile/own-secret.ts";
import { type ServiceStep, steppedPorts } from "../reconcile/traffic.ts";
import type { Stamp } from "../reconcile/workload-state.ts";
import type { Action, World } from "../reconcile/world.ts";

/** Performs the action in the cluster. */
export async function perform(
  cluster: Cluster,
  world: Pick<World, "agent" | "workload">,
  action: Action,
): Promise<void> {
  const { agent } = world;
  const reference = { name: agent.metadata.name, namespace: agent.metadata.namespace };
  switch (action.kind) {
    case "addFinalizer":
      await writeFinalizers(cluster, agent, [...(agent.metadata.finalizers ?? []), finalizer]);
      return;
    case "removeFinalizer":
      await writeFinalizers(
        cluster,
        agent,
        (agent.metadata.finalizers ?? []).filter((name) => name !== finalizer),
      );
      return;
    case "writeSecret":
      await cluster.apply(secrets, { ...buildOwnSecret(agent, action.data) });
      return;
    case "writeStatus":
      await cluster.apply(durableAgents, { metadata: reference, status: action.status }, { subresource: "status" });
      return;
    case "stamp":
      await applyStamp(cluster, world, action.stamp);
      return;
    case "stepService":
      await stepService(cluster, action.step);
      return;
    case "evictPod":
      await evict(cluster, { name: action.pod.metadata.name ?? "", namespace: agent.metadata.namespace });
      return;
  }
}

/** With the resourceVersion, so that a finalizer that somebody else adds in between is not lost. */
async function writeFinalizers(cluster: Cluster, agent: DurableAgent, finalizers: string[]): Promise<void> {
  const { name, namespace, resourceVersion } = agent.metadata;
  await cluster.merge(durableAgents, { name, namespace }, { metadata: { finalizers, resourceVersion } });
}

/**
 * Applies the stamp, or with none gives up every field that the operator owns on the workload, which removes them. The
 * uid keeps a workload that was deleted and made again from being created by an apply.
 */
async function applyStamp(
  cluster: Cluster,
  { workload }: Pick<World, "workload">,
  stamp: Stamp | undefined,
): Promise<void> {
  if (workload === undefined) return;
  const { name = "", namespace = "", uid = "" } = workload.metadata;
  const annotations =
    stamp === undefined
      ? {}
      : {
          [ANNOTATIONS.configHash]: stamp.configHash,
          ...(stamp.sidecarVersion === undefined ? {} : { [ANNOTATIONS.sidecarVersion]: stamp.sidecarVersion }),
        };
  const metadata = stamp === undefined ? undefined : { labels: { [LABELS.agent]: stamp.agent }, annotations };
  await cluster.apply(workloadType(workload.kind ?? ""), {
    metadata: { name, namespace, uid },
    ...(metadata === undefined ? {} : { spec: { template: { metadata } } }),
  });
}

/**
 * Not by server-side apply: giving a field up removes it, and a Service without targetPort is not what the user had. The
 * resourceVersion makes a concurrent change of the Service a conflict, after which the plan is made anew.
 */
async function stepService(cluster: Cluster, step: ServiceStep): Promise<void> {
  const { name = "", namespace = "", resourceVersion } = step.service.metadata;
  const routed = step.kind === "route";
  await cluster.merge(
    services,
    { name, namespace },
    {
      metadata: {
        resourceVersion,
        labels: { [LABELS.routedBy]: step.kind === "route" ? step.routedBy : null },
        annotations: { [ANNOTATIONS.originalTargetPorts]: routed ? JSON.stringify(step.originals) : null },
      },
      spec: { ports: steppedPorts(step) },
    },
  );
}

/** A disruption budget that does not allow it now allows it later. */
async function evict(cluster: Cluster, reference: { name: string; namespace: string }): Promise<void> {
  try {
    await cluster.evict(reference);
  } catch (error) {
    if (error instanceof ClusterError && (error.fault === "tooManyRequests" || error.fault === "notFound")) return;
    throw error;
  }
}
