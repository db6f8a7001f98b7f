/** What a pod tells about its sidecar. */
import { ANNOTATIONS, CONTAINER_NAME, LABELS } from "@durable-agent/crds/contract";
import type { Container, Pod } from "./objects.ts";

/** All containers of a pod, init containers first. */
export function allContainers(pod: Pod): Container[] {
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
}

/** The pod runs with a sidecar of ours. */
export function hasSidecar(pod: Pod): boolean {
  return (
    pod.metadata.annotations?.[ANNOTATIONS.injected] !== undefined &&
    allContainers(pod).some((container) => container.name === CONTAINER_NAME)
  );
}

/** The name of the DurableAgent whose sidecar the pod is to have, if any. */
export function labelledAgent(pod: Pod): string | undefined {
  return pod.metadata.labels?.[LABELS.agent];
}

/** The number that a Service's named targetPort resolves to on this pod. */
export function findNamedPort(pod: Pod, name: string): number | undefined {
  for (const container of pod.spec.containers) {
    const port = container.ports?.find((candidate) => candidate.name === name);
    if (port !== undefined) return port.containerPort;
  }
  return undefined;
}

/** The pod counts as ready, so Services send requests to it. */
export function isReady(pod: Pod): boolean {
  return (
    pod.status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false
  );
}

/** The pod will run no more: it has ended or is being deleted. */
export function isLeaving(pod: Pod): boolean {
  return (
    pod.metadata.deletionTimestamp !== undefined || pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed"
  );
}
