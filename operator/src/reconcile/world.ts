/** What the operator observes about one DurableAgent, and what it may do about it. */
import type { DurableAgent, DurableAgentStatus } from "@durable-agent/crds/durable-agent";
import type { NetworkPolicy, Pod, Secret, Service, Workload } from "../kubernetes/objects.ts";
import type { Finding } from "./conditions.ts";
import type { OperatorCredentials } from "./own-secret.ts";
import type { ServiceStep } from "./traffic.ts";
import type { CreationFailure, Stamp } from "./workload-state.ts";

/** One moment of the cluster, around one DurableAgent. */
export interface World {
  agent: DurableAgent;
  workload: Workload | undefined;
  /** Other DurableAgents of the namespace that name the same workload. */
  rivals: DurableAgent[];
  /** Names of the namespace's other DurableAgents that are not being deleted. */
  peers: string[];
  /** Pods that the workload's or one of its Services' selectors matches. */
  pods: Pod[];
  /** What the StatefulSet's controller last said about a pod that it could not create; undefined: nothing. */
  failedCreation?: CreationFailure | undefined;
  /** All Services of the namespace. */
  services: Service[];
  /** All NetworkPolicies of the namespace. */
  networkPolicies: NetworkPolicy[];
  /** Own Secret and referenced ones that exist, by name. */
  secrets: Record<string, Secret>;
  credentials: OperatorCredentials;
  /** A fresh encryption key, used only where there is none yet. */
  freshSecretKey: string;
  /** Whether the database and NATS answer; undefined: not asked yet. */
  store: Finding | undefined;
  relay: Finding | undefined;
  /** Counts from the database; undefined: keep what the status has. */
  tasks: DurableAgentStatus["tasks"];
  /** The webhooks are not called for the namespace. */
  namespaceExcluded: boolean;
  /** Hash of the sidecar that this operator brings. */
  sidecarVersion: string;
  /** No other workload is being restarted for an upgrade. */
  upgradeSlotFree: boolean;
  /** Undefined: the last round was done to its end, or failed for a reason that passes. */
  refused?: Refusal | undefined;
  now: Date;
}

/** A write that was refused in the last round, and will be again until somebody changes something. */
export interface Refusal {
  action: Action["kind"];
  message: string;
}

/** One write. They are done in the order of the plan, and a failed one ends the round. */
export type Action =
  | { kind: "addFinalizer" }
  | { kind: "writeSecret"; data: Record<string, string> }
  | { kind: "writeStatus"; status: DurableAgentStatus }
  | { kind: "stamp"; stamp: Stamp | undefined }
  | { kind: "stepService"; step: ServiceStep }
  | { kind: "evictPod"; pod: Pod }
  | { kind: "removeFinalizer" };

/** What to do, and when to look again although nothing was reported. */
export interface Plan {
  actions: Action[];
  requeueAfterMs?: number;
  /** Somebody has to mend something first: the looks may become rarer while nothing changes. */
  isBlocked?: boolean;
}
