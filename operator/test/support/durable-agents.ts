/** DurableAgents as the API server would return them: what a test writes, with the schema's defaults around it. */
import { type DurableAgent, type DurableAgentSpec, specDefaults } from "@durable-agent/crds/durable-agent";

type Partially<T> = { [K in keyof T]?: T[K] extends object ? Partially<T[K]> : T[K] };

/** What a test says about a DurableAgent. */
export interface AgentSketch {
  name?: string;
  namespace?: string;
  spec?: Partially<DurableAgentSpec>;
  status?: DurableAgent["status"];
  metadata?: Partial<DurableAgent["metadata"]>;
}

/** A DurableAgent with every default filled in. */
export function durableAgent(sketch: AgentSketch = {}): DurableAgent {
  const name = sketch.name ?? "researcher";
  const workload = { kind: "Deployment", name };
  return {
    apiVersion: "durable-agent.dev/v1alpha1",
    kind: "DurableAgent",
    metadata: {
      name,
      namespace: sketch.namespace ?? "agents",
      uid: `uid-of-${name}`,
      generation: 1,
      resourceVersion: "1",
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...sketch.metadata,
    },
    spec: merge({ ...specDefaults, workload }, sketch.spec ?? {}) as DurableAgentSpec,
    ...(sketch.status === undefined ? {} : { status: sketch.status }),
  };
}

function merge(defaults: unknown, written: unknown): unknown {
  if (!isRecord(defaults) || !isRecord(written)) return structuredClone(written);
  const merged: Record<string, unknown> = structuredClone(defaults);
  for (const [key, value] of Object.entries(written)) merged[key] = merge(defaults[key], value);
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
