/** The operator's settings. Pure: files are read by the function that is passed in. */
import type { SidecarDefaults } from "./injection/injection-plan.ts";

/** One setting: what it is called, what holds without it and what it means. README.md prints this table. */
export interface Setting {
  name: string;
  defaultText: string;
  meaning: string;
}

/** Every setting, in the order of the README. */
export const settings: readonly Setting[] = [
  { name: "POD_NAMESPACE", defaultText: "required", meaning: "namespace of the operator, its Lease and its Secret" },
  { name: "POD_NAME", defaultText: "host name", meaning: "identity in the leader election" },
  { name: "SIDECAR_IMAGE", defaultText: "required", meaning: "image of the sidecars" },
  { name: "SIDECAR_IMAGE_PULL_POLICY", defaultText: "unset", meaning: "their imagePullPolicy" },
  { name: "SIDECAR_CPU_REQUEST", defaultText: "50m", meaning: "their CPU request" },
  { name: "SIDECAR_MEMORY_REQUEST", defaultText: "128Mi", meaning: "their memory request" },
  {
    name: "DATABASE_URL_FILE",
    defaultText: "unset",
    meaning: "file with the Postgres URL for DurableAgents without store.secretRef",
  },
  { name: "DATABASE_CA_FILE", defaultText: "unset", meaning: "file with the authorities of that database" },
  {
    name: "NATS_URL_FILE",
    defaultText: "unset",
    meaning: "file with the NATS URL for DurableAgents without relay.secretRef",
  },
  { name: "NATS_CA_FILE", defaultText: "unset", meaning: "file with the authorities of that server" },
  { name: "NATS_CREDS_FILE", defaultText: "unset", meaning: "file with NATS credentials" },
  { name: "WATCH_NAMESPACES", defaultText: "all", meaning: "namespaces that are watched, separated by commas" },
  {
    name: "EXCLUDED_NAMESPACES",
    defaultText: "none",
    meaning: "namespaces for which the webhooks are not called, separated by commas; their workloads are left alone",
  },
  { name: "WEBHOOK_PORT", defaultText: "9443", meaning: "HTTPS port of the webhooks" },
  { name: "PROBE_PORT", defaultText: "8081", meaning: "port of /livez, /readyz and /metrics" },
  {
    name: "WEBHOOK_SERVICE",
    defaultText: "durable-agent-webhook",
    meaning: "Service in front of the webhooks; its names are in the certificate",
  },
  {
    name: "WEBHOOK_HOSTS",
    defaultText: "unset",
    meaning: "further host names in the certificate, separated by commas, for webhooks that are called by URL",
  },
  {
    name: "WEBHOOK_SECRET",
    defaultText: "durable-agent-webhook-tls",
    meaning: "Secret that holds the certificates; the chart installs it empty",
  },
  {
    name: "WEBHOOK_CONFIGURATION",
    defaultText: "durable-agent",
    meaning: "MutatingWebhookConfiguration whose caBundle the operator keeps",
  },
  {
    name: "WEBHOOK_CERT_DIR",
    defaultText: "unset",
    meaning: "directory with tls.crt and tls.key that somebody else keeps; the operator then issues nothing",
  },
  { name: "LEASE_NAME", defaultText: "durable-agent-operator", meaning: "Lease of the leader election" },
  { name: "LEASE_MS", defaultText: "10000", meaning: "how long a silent leader keeps the Lease" },
  { name: "STORE_PROBE_MS", defaultText: "30000", meaning: "how often databases and NATS servers are asked" },
  {
    name: "SHUTDOWN_QUIET_MS",
    defaultText: "5000",
    meaning: "how long webhooks are still answered after SIGTERM, until nobody asks this replica any more",
  },
  { name: "LOG_LEVEL", defaultText: "info", meaning: "debug, info, warn or error" },
  { name: "KUBECONFIG", defaultText: "in-cluster", meaning: "kubeconfig for an operator that runs outside" },
];

/** The settings as the operator uses them. */
export interface Config {
  namespace: string;
  identity: string;
  sidecar: SidecarDefaults;
  files: { databaseUrl?: string; databaseCa?: string; natsUrl?: string; natsCa?: string; natsCreds?: string };
  watchNamespaces: string[];
  excludedNamespaces: string[];
  webhookPort: number;
  probePort: number;
  dnsNames: string[];
  webhookSecret: string;
  webhookConfiguration: string;
  webhookCertDir?: string;
  leaseName: string;
  leaseMs: number;
  storeProbeMs: number;
  shutdownQuietMs: number;
  logLevel: "debug" | "info" | "warn" | "error";
}

/** Settings that cannot be used, all of them at once. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the operator's settings cannot be used:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** Reads the environment; an empty variable counts as unset. Throws {@link ConfigError} naming every problem. */
export function loadConfig(env: Record<string, string | undefined>, hostName: string): Config {
  const problems: string[] = [];
  const text = (name: string): string | undefined => (env[name]?.trim() ? env[name].trim() : undefined);
  const required = (name: string): string => {
    const value = text(name);
    if (value === undefined) problems.push(`${name}: set it`);
    return value ?? "";
  };
  const integer = (name: string, fallback: number, range: [number, number]): number => {
    const value = text(name);
    if (value === undefined) return fallback;
    const number = Number(value);
    if (Number.isInteger(number) && number >= range[0] && number <= range[1]) return number;
    problems.push(`${name}: ${JSON.stringify(value)} is not a whole number from ${range[0]} to ${range[1]}`);
    return fallback;
  };
  const list = (name: string): string[] =>
    (text(name) ?? "")
      .split(",")
      .map((entry) => entry.trim())
      .filter(Boolean);
  const optional = <K extends string>(key: K, name: string): { [P in K]?: string } => {
    const value = text(name);
    return value === undefined ? {} : ({ [key]: value } as { [P in K]?: string });
  };
  const namespace = required("POD_NAMESPACE");
  const service = text("WEBHOOK_SERVICE") ?? "durable-agent-webhook";
  const logLevel = text("LOG_LEVEL") ?? "info";
  if (!isLogLevel(logLevel)) problems.push(`LOG_LEVEL: ${JSON.stringify(logLevel)} is not debug, info, warn or error`);
  const config: Config = {
    namespace,
    identity: text("POD_NAME") ?? hostName,
    sidecar: {
      image: required("SIDECAR_IMAGE"),
      requests: { cpu: text("SIDECAR_CPU_REQUEST") ?? "50m", memory: text("SIDECAR_MEMORY_REQUEST") ?? "128Mi" },
      ...optional("imagePullPolicy", "SIDECAR_IMAGE_PULL_POLICY"),
    },
    files: {
      ...optional("databaseUrl", "DATABASE_URL_FILE"),
      ...optional("databaseCa", "DATABASE_CA_FILE"),
      ...optional("natsUrl", "NATS_URL_FILE"),
      ...optional("natsCa", "NATS_CA_FILE"),
      ...optional("natsCreds", "NATS_CREDS_FILE"),
    },
    watchNamespaces: list("WATCH_NAMESPACES"),
    excludedNamespaces: list("EXCLUDED_NAMESPACES"),
    webhookPort: integer("WEBHOOK_PORT", 9443, [0, 65_535]),
    probePort: integer("PROBE_PORT", 8081, [0, 65_535]),
    dnsNames: [`${service}.${namespace}.svc`, `${service}.${namespace}.svc.cluster.local`, ...list("WEBHOOK_HOSTS")],
    webhookSecret: text("WEBHOOK_SECRET") ?? "durable-agent-webhook-tls",
    webhookConfiguration: text("WEBHOOK_CONFIGURATION") ?? "durable-agent",
    ...optional("webhookCertDir", "WEBHOOK_CERT_DIR"),
    leaseName: text("LEASE_NAME") ?? "durable-agent-operator",
    leaseMs: integer("LEASE_MS", 10_000, [1_000, 600_000]),
    storeProbeMs: integer("STORE_PROBE_MS", 30_000, [500, 3_600_000]),
    shutdownQuietMs: integer("SHUTDOWN_QUIET_MS", 5_000, [0, 60_000]),
    logLevel: isLogLevel(logLevel) ? logLevel : "info",
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config);
}

function isLogLevel(text: string): text is Config["logLevel"] {
  return ["debug", "info", "warn", "error"].includes(text);
}
