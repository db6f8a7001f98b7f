/** What a workload and its pods say about the injection. */
import { ANNOTATIONS, LABELS } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import type { Pod, Workload } from "../kubernetes/objects.ts";
import { findObstacle } from "../kubernetes/pod-obstacle.ts";
import { hasSidecar, isLeaving, labelledAgent } from "../kubernetes/sidecar-facts.ts";

/** The labels and annotations that the operator owns on a pod template; undefined: none. */
export interface Stamp {
  agent: string;
  configHash: string;
  sidecarVersion?: string;
}

/** The stamp that the template bears. */
export function readStamp(workload: Workload): Stamp | undefined {
  const { labels, annotations } = workload.spec.template.metadata ?? {};
  const agent = labels?.[LABELS.agent];
  const configHash = annotations?.[ANNOTATIONS.configHash];
  if (agent === undefined && configHash === undefined) return undefined;
  const sidecarVersion = annotations?.[ANNOTATIONS.sidecarVersion];
  return {
    agent: agent ?? "",
    configHash: configHash ?? "",
    ...(sidecarVersion === undefined ? {} : { sidecarVersion }),
  };
}

/** The two stamps lead to the same pods. */
export function sameStamp(one: Stamp | undefined, other: Stamp | undefined): boolean {
  return (
    one?.agent === other?.agent &&
    one?.configHash === other?.configHash &&
    one?.sidecarVersion === other?.sidecarVersion
  );
}

/** The controller of the workload has replaced every pod and all are up. Partitions count as a rollout that goes on. */
export function isRolledOut(workload: Workload): boolean {
  const { status, metadata, spec } = workload;
  const wanted = spec.replicas ?? 1;
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) return false;
  const updated = status?.updatedReplicas ?? (status?.currentRevision === status?.updateRevision ? wanted : 0);
  return updated >= wanted && (status?.replicas ?? 0) <= wanted && (status?.readyReplicas ?? 0) >= wanted;
}

/**
 * The pod was made from a template with this stamp, as far as its configuration goes. The sidecar's version does not
 * count: an upgrade of the operator leaves pods as they are, and they are no worse for it.
 */
export function hasConfigOf(pod: Pod, stamp: Stamp): boolean {
  const { annotations } = pod.metadata;
  return (
    annotations?.[ANNOTATIONS.injected] === stamp.agent && annotations[ANNOTATIONS.configHash] === stamp.configHash
  );
}

/** Why the pods are not replaced before somebody changes the workload; undefined: they are. */
export function findRolloutStop({ spec }: Workload): string | undefined {
  if (spec.paused === true) return "the Deployment is paused, resume it";
  const partition = spec.updateStrategy?.rollingUpdate?.partition ?? 0;
  return partition > 0
    ? `the StatefulSet's update strategy has partition ${partition}, so pods of lower ordinals stay as they are: set it to 0`
    : undefined;
}

/** The pods of a workload, sorted by what they say. */
export interface PodCensus {
  running: Pod[];
  injected: Pod[];
  /** Carry this DurableAgent's label and have no sidecar, although nothing stands against one. */
  missed: Pod[];
}

/** Counts the pods that stay; those that end or are being deleted do not count. */
export function takeCensus(pods: Pod[], agent: DurableAgent): PodCensus {
  const running = pods.filter((pod) => !isLeaving(pod));
  return {
    running,
    injected: running.filter((pod) => hasSidecar(pod)),
    missed: running.filter(
      (pod) => labelledAgent(pod) === agent.metadata.name && !hasSidecar(pod) && findObstacle(pod) === undefined,
    ),
  };
}

/** A pod that was not created. */
export interface CreationFailure {
  message: string;
  at: Date;
}

/**
 * Why the workload's pods cannot be created. A Deployment says so in its status. A StatefulSet only has Events, and one of
 * them holds as long as no pod was created after it.
 */
export function findCreationFailure(
  workload: Workload,
  { running }: PodCensus,
  failed: CreationFailure | undefined,
): string | undefined {
  const failure = workload.status?.conditions?.find((condition) => condition.type === "ReplicaFailure");
  if (failure?.status === "True") return failure.message ?? failure.reason ?? "pods cannot be created";
  if (failed === undefined || running.length >= (workload.spec.replicas ?? 1)) return undefined;
  const createdAt = running.map(({ metadata }) => Date.parse(metadata.creationTimestamp ?? ""));
  return createdAt.every((at) => at <= failed.at.getTime()) ? failed.message : undefined;
}
