/** Everything that admission has decided about one pod before it is changed. */
import type { DurableAgentSpec } from "@durable-agent/crds/durable-agent";
import type { AgentTarget } from "../kubernetes/agent-target.ts";
import type { CredentialFile } from "./sidecar-credentials.ts";

/** The traffic mode in force for a pod; Auto has been resolved. */
export type TrafficMode = "NamedPort" | "Service" | "PortEnv";

/** What the operator was installed with. */
export interface SidecarDefaults {
  image: string;
  imagePullPolicy?: string;
  requests: Record<string, string>;
}

/** How one pod is changed. */
export interface InjectionPlan {
  agentName: string;
  agentKey: string;
  spec: DurableAgentSpec;
  target: AgentTarget;
  trafficMode: TrafficMode;
  /** The server runs init containers with `restartPolicy: Always` as sidecars. */
  native: boolean;
  defaults: SidecarDefaults;
  credentials: CredentialFile[];
  drainToken: string;
  /** Where the sidecar and the agent listen in this pod. */
  ports: { sidecar: number; agent: number };
}
