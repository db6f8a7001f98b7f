/** What keeps any sidecar out of a pod. Asked of each pod, and of the workload's template before it is stamped. */
import { CONTAINER_NAME, CREDENTIALS_VOLUME, PORTS } from "@durable-agent/crds/contract";
import { readInjectAnnotation } from "./inject-annotation.ts";
import type { Metadata, PodSpec } from "./objects.ts";

/** A reason code of reasons.ts and the sentence for this pod. */
export interface PodObstacle {
  reason: "OptedOut" | "HostNetwork" | "NameTaken" | "PortTaken";
  message: string;
}

/** The first obstacle in a pod or template that carries no sidecar of ours, or undefined. */
export function findObstacle(pod: { metadata?: Metadata; spec: PodSpec }): PodObstacle | undefined {
  if (readInjectAnnotation(pod.metadata) === "refuse") {
    return { reason: "OptedOut", message: "the pod's own annotation durable-agent.dev/inject is false" };
  }
  if (pod.spec.hostNetwork === true) {
    return { reason: "HostNetwork", message: "hostNetwork pods share their ports with the node" };
  }
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  const named = containers.some((container) => container.name === CONTAINER_NAME);
  if (named || pod.spec.volumes?.some((volume) => volume.name === CREDENTIALS_VOLUME) === true) {
    return { reason: "NameTaken", message: `a container or volume bears the name ${CONTAINER_NAME} already` };
  }
  const ours: number[] = Object.values(PORTS);
  const taken = containers
    .flatMap((container) => container.ports ?? [])
    .find((port) => ours.includes(port.containerPort));
  if (taken !== undefined) {
    return { reason: "PortTaken", message: `a container uses port ${taken.containerPort}, which is the sidecar's` };
  }
  return undefined;
}
