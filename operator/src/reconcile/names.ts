/** Every name that the operator derives. */
import type { DurableAgent } from "@durable-agent/crds/durable-agent";

/** Owner of the fields that the operator applies; `kubectl get --show-managed-fields` shows it. */
export const fieldManager = "durable-agent-operator";

/** Holds a DurableAgent until its workload is as it was before. */
export const finalizer = "durable-agent.dev/restore";

/** On DurableAgents that the operator made for an annotated workload. */
export const createdByLabel = { key: "durable-agent.dev/created-by", value: "annotation" } as const;

/** The Secret with a DurableAgent's encryption key and, where it has none of its own, the operator's credentials. */
export function ownSecretName(agentName: string): string {
  return `durable-agent-${agentName}`;
}

/** The longest name of a DurableAgent, since it becomes a label value. */
const maxAgentName = 63;

/**
 * The name of the DurableAgent for an annotated workload: the workload's own, or with the kind where that name is taken
 * by a DurableAgent of another workload. Names that are too long are cut, with a digest of the whole that keeps them apart.
 */
export function agentNameFor(
  workload: { kind: string; name: string },
  existing: DurableAgent[],
  digest: (text: string) => string,
): string {
  const taken = (name: string): boolean =>
    existing.some(
      (agent) =>
        agent.metadata.name === name &&
        (agent.spec.workload.kind !== workload.kind || agent.spec.workload.name !== workload.name),
    );
  const plain = shorten(workload.name, digest);
  return taken(plain) ? shorten(`${workload.name}-${workload.kind.toLowerCase()}`, digest) : plain;
}

function shorten(name: string, digest: (text: string) => string): string {
  if (name.length <= maxAgentName) return name;
  const suffix = digest(name).slice(0, 8);
  return `${name.slice(0, maxAgentName - 9).replace(/[^a-z0-9]+$/, "")}-${suffix}`;
}
