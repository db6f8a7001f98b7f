/** Carries out one action of a plan. Rejects with ClusterError; doing an action twice is harmless. */
import { ANNOTATIONS, LABELS } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import type { Workload } from "../kubernetes/objects.ts";
import { durableAgents, secrets, services, workloadType } from "../kubernetes/resource-types.ts";
import { type Cluster, ClusterError } from "../ports/cluster.ts";
import { finalizer } from "../reconcile/names.ts";
import { buildOwnSecret } from "../reconcile/own-secret.ts";
import { type ServiceStep, steppedPorts } from "../reconcile/traffic.ts";
import type { Stamp } from "../reconcile/workload-state.ts";
import type { Action, World } from "../reconcile/world.ts";

/** Performs the action in the cluster. Resolves to whether it was done: an eviction may have to wait. */
export async function perform(
  cluster: Cluster,
  world: Pick<World, "agent" | "workload">,
  action: Action,
): Promise<boolean> {
  const { agent } = world;
  const reference = { name: agent.metadata.name, namespace: agent.metadata.namespace };
  switch (action.kind) {
    case "addFinalizer":
      await writeFinalizers(cluster, agent, [...(agent.metadata.finalizers ?? []), finalizer]);
      return true;
    case "removeFinalizer":
      await writeFinalizers(
        cluster,
        agent,
        (agent.metadata.finalizers ?? []).filter((name) => name !== finalizer),
      );
      return true;
    case "writeSecret":
      await cluster.apply(secrets, { ...buildOwnSecret(agent, action.data) });
      return true;
    case "writeStatus":
      await cluster.apply(durableAgents, { metadata: reference, status: action.status }, { subresource: "status" });
      return true;
    case "stamp":
      await applyStamp(cluster, world, action.stamp);
      return true;
    case "stepService":
      await stepService(cluster, action.step);
      return true;
    case "evictPod":
      return await evict(cluster, { name: action.pod.metadata.name ?? "", namespace: agent.metadata.namespace });
  }
}

/** With the resourceVersion, so that a finalizer that somebody else adds in between is not lost. */
async function writeFinalizers(cluster: Cluster, agent: DurableAgent, finalizers: string[]): Promise<void> {
  const { name, namespace, resourceVersion } = agent.metadata;
  await cluster.merge(durableAgents, { name, namespace }, { metadata: { finalizers, resourceVersion } });
}

/**
 * Applies the stamp, or with none gives up every field that the operator owns on the workload, which removes them unless
 * somebody else owns them too: a manifest that was written from the stamped workload has them. Those are removed by name. The
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
  const type = workloadType(workload.kind ?? "");
  const applied = await cluster.apply(type, {
    metadata: { name, namespace, uid },
    ...(metadata === undefined ? {} : { spec: { template: { metadata } } }),
  });
  const left = stamp === undefined ? findStampKeys(applied) : undefined;
  if (left === undefined) return;
  await cluster.merge(type, { name, namespace }, { spec: { template: { metadata: left } } });
}

/** A merge patch that removes what the template still has of a stamp; undefined: nothing. */
function findStampKeys(workload: Workload): { labels?: object; annotations?: object } | undefined {
  const { labels = {}, annotations = {} } = workload.spec.template.metadata ?? {};
  const noted = [ANNOTATIONS.configHash, ANNOTATIONS.sidecarVersion].filter((key) => annotations[key] !== undefined);
  const labelled = labels[LABELS.agent] !== undefined;
  if (!labelled && noted.length === 0) return undefined;
  return {
    ...(labelled ? { labels: { [LABELS.agent]: null } } : {}),
    ...(noted.length === 0 ? {} : { annotations: Object.fromEntries(noted.map((key) => [key, null])) }),
  };
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

/** False: the pod is gone already, or a disruption budget does not allow it now; later it does. */
async function evict(cluster: Cluster, reference: { name: string; namespace: string }): Promise<boolean> {
  try {
    await cluster.evict(reference);
    return true;
  } catch (error) {
    if (error instanceof ClusterError && (error.fault === "tooManyRequests" || error.fault === "notFound"))
      return false;
    throw error;
  }
}
