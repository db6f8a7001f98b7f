/** DurableAgents for workloads that ask for one by annotation. */
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { readInjectAnnotation } from "../kubernetes/inject-annotation.ts";
import type { KubernetesObject, Metadata, Workload } from "../kubernetes/objects.ts";
import { agentNameFor, createdByLabel } from "./names.ts";

/** A DurableAgent as it is created: defaults are left to the API server. */
export interface CreatedAgent extends KubernetesObject {
  metadata: Metadata & { name: string };
  spec: { workload: { kind: string; name: string } };
}

/** What to do about one workload. */
export type AnnotationStep = { kind: "create"; agent: CreatedAgent } | { kind: "delete"; name: string };

/**
 * An annotated workload gets a DurableAgent unless one names it already. The one that the operator made goes again when
 * the annotation does; one that a user made never does. The workload owns it, so both go together.
 */
export function planAnnotation(
  workload: Workload,
  agents: DurableAgent[],
  digest: (text: string) => string,
): AnnotationStep[] {
  const kind = workload.kind ?? "";
  const name = workload.metadata.name ?? "";
  const naming = agents.filter((agent) => agent.spec.workload.kind === kind && agent.spec.workload.name === name);
  const wanted = readInjectAnnotation(workload.metadata) === "inject";
  if (!wanted || workload.metadata.deletionTimestamp !== undefined) {
    return naming.filter(isOfAnnotation).map((agent) => ({ kind: "delete", name: agent.metadata.name }));
  }
  if (naming.length > 0) return [];
  return [{ kind: "create", agent: buildAgent(workload, agentNameFor({ kind, name }, agents, digest)) }];
}

function isOfAnnotation(agent: DurableAgent): boolean {
  const { labels, deletionTimestamp } = agent.metadata;
  return labels?.[createdByLabel.key] === createdByLabel.value && deletionTimestamp === undefined;
}

function buildAgent(workload: Workload, agentName: string): CreatedAgent {
  const { name = "", namespace = "", uid = "" } = workload.metadata;
  const kind = workload.kind ?? "";
  return {
    apiVersion: "durable-agent.dev/v1alpha1",
    kind: "DurableAgent",
    metadata: {
      name: agentName,
      namespace,
      labels: { [createdByLabel.key]: createdByLabel.value },
      ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid, controller: true }],
    },
    spec: { workload: { kind, name } },
  };
}
