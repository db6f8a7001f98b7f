/** A pod with its sidecar. */
import { ANNOTATIONS } from "@durable-agent/crds/contract";
import { parseDurationMs } from "../kubernetes/duration.ts";
import type { Pod } from "../kubernetes/objects.ts";
import { adaptAgentContainer } from "./agent-container.ts";
import type { InjectionPlan } from "./injection-plan.ts";
import { buildCredentialsVolume, buildSidecarContainer } from "./sidecar-container.ts";

/** Kubernetes' own default. */
const defaultTerminationGraceSeconds = 30;
/** What is left after the drain for the agent and the sidecar to end. */
const endSeconds = 10;

/** A copy of the pod with the sidecar in it and the agent's container adapted to it; nothing else differs. */
export function injectSidecar(pod: Pod, plan: InjectionPlan): Pod {
  const injected = structuredClone(pod);
  const { spec } = injected;
  spec.containers = spec.containers.map((container) =>
    container.name === plan.target.container ? adaptAgentContainer(container, plan) : container,
  );
  const sidecar = buildSidecarContainer(plan);
  if (!plan.native) spec.containers.push(sidecar);
  else if (plan.spec.sidecar.first) spec.initContainers = [sidecar, ...(spec.initContainers ?? [])];
  else spec.initContainers = [...(spec.initContainers ?? []), sidecar];
  spec.volumes = [...(spec.volumes ?? []), buildCredentialsVolume(plan.credentials)];
  const neededSeconds = Math.ceil(parseDurationMs(plan.spec.drain.gracePeriod) / 1000) + endSeconds;
  if ((spec.terminationGracePeriodSeconds ?? defaultTerminationGraceSeconds) < neededSeconds) {
    spec.terminationGracePeriodSeconds = neededSeconds;
  }
  injected.metadata.annotations = { ...injected.metadata.annotations, [ANNOTATIONS.injected]: plan.agentName };
  return injected;
}
