/**
 * Names that operator, sidecar and chart must agree on. Whoever needs one imports it from here; a name that only one
 * of them uses lives with its user.
 */

/** API group of the custom resource, and the prefix of every annotation and label. */
export const GROUP = "durable-agent.dev";

/** Environment variables of the sidecar: what the operator sets is what the sidecar reads. */
export const ENV = {
  agentUrl: "AGENT_URL",
  agentKey: "AGENT_KEY",
  host: "HOST",
  port: "PORT",
  publicUrl: "PUBLIC_URL",
  adminPort: "ADMIN_PORT",
  databaseUrl: "DATABASE_URL",
  databaseUrlFile: "DATABASE_URL_FILE",
  databaseCaFile: "DATABASE_CA_FILE",
  databasePoolSize: "DATABASE_POOL_SIZE",
  databaseDirectUrl: "DATABASE_DIRECT_URL",
  natsUrl: "NATS_URL",
  natsUrlFile: "NATS_URL_FILE",
  natsCredsFile: "NATS_CREDS_FILE",
  natsCaFile: "NATS_CA_FILE",
  dataDir: "DATA_DIR",
  instanceId: "INSTANCE_ID",
  podName: "POD_NAME",
  podUid: "POD_UID",
  leaseMs: "LEASE_MS",
  recoveryPolicy: "RECOVERY_POLICY",
  recoveryMaxAttempts: "RECOVERY_MAX_ATTEMPTS",
  affinity: "AFFINITY",
  idempotencyWindowSeconds: "IDEMPOTENCY_WINDOW_SECONDS",
  retentionSeconds: "RETENTION_SECONDS",
  accessMode: "ACCESS_MODE",
  accessJwksUrl: "ACCESS_JWKS_URL",
  accessIssuer: "ACCESS_ISSUER",
  accessAudience: "ACCESS_AUDIENCE",
  accessHeader: "ACCESS_HEADER",
  secretKey: "SECRET_KEY",
  secretKeyFile: "SECRET_KEY_FILE",
  pushAllow: "PUSH_ALLOW",
  maxBodyBytes: "MAX_BODY_BYTES",
  drainGraceMs: "DRAIN_GRACE_MS",
  drainToken: "DRAIN_TOKEN",
  logLevel: "LOG_LEVEL",
} as const;

/** Ports the sidecar listens on where nothing else is said. */
export const PORTS = { a2a: 15800, admin: 15801 } as const;

/** Name of the sidecar's A2A container port, for Services (at most 15 characters). */
export const PORT_NAME = "durable-a2a";

/** Paths on the admin port. */
export const ADMIN_PATHS = {
  live: "/livez",
  ready: "/readyz",
  metrics: "/metrics",
  drain: "/drain",
  preStop: "/prestop",
} as const;

/** First token of every NATS subject. */
export const SUBJECT_PREFIX = "da";

/** HTTP headers of ours. */
export const HEADERS = {
  /** On an answer: the call joined an earlier, equal send and shows its turn (P7). */
  joined: "Durable-Agent-Joined",
  /** On `/drain` and `/prestop`: the pod's drain token. */
  drainToken: "X-Drain-Token",
} as const;

/** Key in `params.metadata` that tells the agent which attempt of the same message this is (absent on the first). */
export const ATTEMPT_METADATA_KEY = `${GROUP}/attempt`;

export const ANNOTATIONS = {
  /** On a workload: "true" asks for a DurableAgent of its name. */
  inject: `${GROUP}/inject`,
  /** On the pod template: hash of the user's spec; a change rolls the pods. */
  configHash: `${GROUP}/config-hash`,
  /** On the pod template, with `upgrade: Rolling` only: which sidecar the operator brings; a change rolls the pods. */
  sidecarVersion: `${GROUP}/sidecar-version`,
  /** On an injected pod: the name of the DurableAgent it was injected for. */
  injected: `${GROUP}/injected`,
  /** On a routed Service: its own targetPorts, to be put back, as JSON by port name or number. */
  originalTargetPorts: `${GROUP}/original-target-ports`,
} as const;

export const LABELS = {
  /** On the pod template: name of the DurableAgent; the webhook selects pods by it. */
  agent: `${GROUP}/agent`,
  /** On a Service whose targetPort the operator changed: name of the DurableAgent; the webhook selects Services by it. */
  routedBy: `${GROUP}/routed-by`,
} as const;

/** The injected container's name. */
export const CONTAINER_NAME = "durable-agent";

/** The volume with the sidecar's credential files; no other container mounts it. */
export const CREDENTIALS_VOLUME = "durable-agent-credentials";

/** Keys of the Secrets a DurableAgent's `store.secretRef` and `relay.secretRef` name. */
export const SECRET_KEYS = { url: "url", ca: "ca.crt", natsCreds: "user.creds" } as const;
