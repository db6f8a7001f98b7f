/**
 * Every reason code of the operator with its sentence. A code is a metric label, a log field, the reason of an Event and
 * of a condition; README.md lists them with what to do, and a test keeps the two lists equal.
 */

/** Why a pod is admitted as it came. */
export const skipReasons = {
  AgentGone: "the DurableAgent named by the pod's label does not exist",
  AlreadyInjected: "the pod carries the sidecar already",
  HostNetwork: "the pod uses the node's network, where the sidecar's ports may belong to somebody else",
  NameTaken: "the pod has a container or volume of its own that bears the sidecar's name",
  NoNativeSidecar: "the pod is to end, and before 1.29 the server has no sidecars that let it",
  OptedOut: "the pod's own annotation refuses the sidecar",
  PortTaken: "a container of the pod uses a port of the sidecar",
} as const;

/** Why a pod is refused: it is to have a sidecar, and what it lacks is for somebody to mend. */
export const refuseReasons = {
  AmbiguousContainer: "several containers, and agent.container does not say which one is the agent",
  AmbiguousPort: "several ports, and agent.port does not say which one speaks A2A",
  ContainerNotFound: "agent.container names a container that the pod does not have",
  NoPort: "the agent's container lists no port and agent.port is not set",
  PortNotFound: "agent.port names a port that the agent's container does not have",
  SecretIncomplete: "a Secret with credentials lacks a key",
  SecretNotFound: "a Secret with credentials does not exist",
} as const;

/** Further reasons of conditions. */
export const conditionReasons = {
  AllInjected: "every pod of the workload runs with a sidecar",
  Conflict: "an older DurableAgent names the same workload",
  Connected: "the service answered",
  Deleting: "the DurableAgent is being deleted and the workload is restored",
  HeadlessService: "a headless Service selects the pods, so clients reach the agent's own port",
  MigrationFailed: "the database could not be brought to this version's schema",
  NamedPort: "the sidecar bears the port name that the Services use",
  NamedPortImpossible: "a Service does not use the port's name, or the port has none",
  NamespaceExcluded: "the webhooks are not called for the namespace, so no pod of it can get a sidecar",
  NetworkPolicy: "a NetworkPolicy does not let clients reach the sidecar's port",
  NoService: "no Service leads to the agent's port",
  NotConfigured: "neither the DurableAgent nor the operator names a server",
  NotOwned: "a Secret of the name that the operator needs belongs to somebody else",
  OnDelete: "the workload replaces pods only when somebody deletes them",
  PodsRefused: "the workload's pods cannot be created",
  PortEnv: "the sidecar has the agent's port number and the agent has moved",
  Ready: "every part is in place",
  RollingOut: "the workload's pods are being replaced",
  ScaledToZero: "the workload has no pods",
  ServicePort: "the Services' targetPort leads to the sidecar",
  UninjectedPods: "pods carry the label but run without a sidecar",
  Unreachable: "the server does not answer",
  WaitingForPods: "the Services are changed once every pod has a sidecar",
  WorkloadNotFound: "the workload does not exist",
  WriteRefused: "the API server does not take a write of the operator",
} as const;

/** A code of {@link skipReasons}. */
export type SkipReason = keyof typeof skipReasons;
/** A code of {@link refuseReasons}. */
export type RefuseReason = keyof typeof refuseReasons;
/** A code that a condition may carry. */
export type ConditionReason =
  | keyof typeof conditionReasons
  | RefuseReason
  | Exclude<SkipReason, "AgentGone" | "AlreadyInjected" | "NoNativeSidecar">;
