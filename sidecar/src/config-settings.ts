/**
 * Every environment variable of the sidecar: its default, its meaning and how its text becomes a value. The README's
 * table is checked against this one.
 */
import { ENV, PORTS } from "@durable-agent/crds/contract";
import { z } from "zod";

/** One variable. The schema turns a non-empty text into the value and explains a refusal without repeating secrets. */
export interface Setting<T> {
  name: string;
  /** What holds where the variable is unset or empty, as the documentation prints it. */
  default: string;
  meaning: string;
  schema: z.ZodType<T, string>;
}

function setting<T>(name: string, schema: z.ZodType<T, string>, standard: string, meaning: string): Setting<T> {
  return { name, schema, default: standard, meaning };
}

const text = z.string();

function wholeNumber(smallest: number, largest: number): z.ZodType<number, string> {
  return text
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .refine((value) => value >= smallest && value <= largest, `must be between ${smallest} and ${largest}`);
}

function httpUrl(): z.ZodType<URL, string> {
  return text
    .refine((value) => /^https?:\/\//i.test(value) && URL.canParse(value), "must be an absolute http or https URL")
    .transform((value) => new URL(value))
    .refine((url) => url.username === "" && url.password === "", "must not carry a user or password");
}

function oneOf<const T extends string>(...values: T[]): z.ZodType<T, string> {
  return text
    .refine((value) => (values as string[]).includes(value), `must be one of ${values.join(", ")}`)
    .transform((value) => value as T);
}

/** Ends up in rows, log lines and subjects (hashed), so it stays short, printable and without blanks. */
const identifier = text.regex(/^[\x21-\x7e]{1,200}$/, "must be 1 to 200 printable characters without blanks");

/** Not parsed as a URL: `postgresql://user@/db?host=/run/postgresql` (a unix socket) is legal for Postgres only. */
const postgresUrl = text.regex(/^postgres(ql)?:\/\/\S+$/, "must start with postgresql://");

const natsUrl = text.refine(
  (value) => value.split(",").every((server) => /^((nats|tls):\/\/)?[^\s/,]+$/.test(server.trim())),
  "must be one or more nats:// or tls:// URLs separated by commas",
);

const SECRET_KEY_BYTES = 32;

const secretKeys = text.transform((value, context): Uint8Array[] => {
  const keys = value.split(",").map((key) => Buffer.from(key.trim(), "base64"));
  if (keys.some((key) => key.length !== SECRET_KEY_BYTES)) {
    context.addIssue({
      code: "custom",
      message: `must be base64 of ${SECRET_KEY_BYTES} bytes, several separated by commas`,
    });
  }
  return keys;
});

/** `host`, `*.host` or an address with a prefix length. */
const pushTargets = text.transform((value, context): string[] => {
  const targets = value.split(",").map((target) => target.trim());
  const wrong = targets.filter((target) => !/^(\*\.)?[A-Za-z0-9.-]+$|^[0-9A-Fa-f:.]+\/\d{1,3}$/.test(target));
  if (wrong.length > 0)
    context.addIssue({ code: "custom", message: `neither a host pattern nor a CIDR: ${wrong.join(", ")}` });
  return targets;
});

const headerName = text.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "must be an HTTP header name");
const port = wholeNumber(1, 65_535);
const days = 86_400;

/** The table. Keys are those of the contract. */
export const SETTINGS = {
  agentUrl: setting(ENV.agentUrl, httpUrl(), "http://127.0.0.1:8080", "the agent container"),
  agentKey: setting(
    ENV.agentKey,
    identifier,
    "`default/agent` only when embedded; required with a shared database",
    "`<cluster>/<namespace>/<name>`; scope of all rows",
  ),
  host: setting(
    ENV.host,
    text.regex(/^[0-9A-Za-z.:-]+$/, "must be an address or host name"),
    "0.0.0.0",
    "address of A2A traffic",
  ),
  port: setting(ENV.port, port, String(PORTS.a2a), "port of A2A traffic"),
  publicUrl: setting(
    ENV.publicUrl,
    httpUrl(),
    "unset",
    "what the agent card shows as the address; unset: that of the request",
  ),
  adminPort: setting(
    ENV.adminPort,
    port,
    String(PORTS.admin),
    "port of `/livez` (listening), `/readyz` and `/metrics`",
  ),
  databaseUrl: setting(
    ENV.databaseUrl,
    postgresUrl,
    "unset: an embedded real Postgres in `DATA_DIR`",
    "shared Postgres; embedded is for one instance on one machine",
  ),
  databaseDirectUrl: setting(
    ENV.databaseDirectUrl,
    postgresUrl,
    "`DATABASE_URL`",
    "for migrations, where `DATABASE_URL` leads to a pooler",
  ),
  databasePoolSize: setting(
    ENV.databasePoolSize,
    wholeNumber(1, 100),
    "5",
    "connections per instance, made at start and held; small on purpose",
  ),
  databaseCaFile: setting(ENV.databaseCaFile, text, "unset", "PEM file of the authority of the database's certificate"),
  natsUrl: setting(
    ENV.natsUrl,
    natsUrl,
    "unset: in-process relay",
    "with a shared database but no NATS, other instances are reached by polling",
  ),
  natsCredsFile: setting(ENV.natsCredsFile, text, "unset", "NATS credentials file"),
  natsCaFile: setting(ENV.natsCaFile, text, "unset", "PEM file of the authority of the NATS server's certificate"),
  dataDir: setting(
    ENV.dataDir,
    text,
    ".durable-agent",
    "files of an instance without Kubernetes: embedded Postgres, identity, generated key",
  ),
  instanceId: setting(ENV.instanceId, identifier, "none", "name in front of the random identity of this process"),
  podName: setting(ENV.podName, identifier, "the host's name", "from the downward API"),
  podUid: setting(
    ENV.podUid,
    identifier,
    "kept in `DATA_DIR`",
    "from the downward API; the same over restarts of the process",
  ),
  leaseMs: setting(ENV.leaseMs, wholeNumber(1_000, 60_000), "5000", "instance lease"),
  recoveryPolicy: setting(
    ENV.recoveryPolicy,
    oneOf("Redispatch", "Fail"),
    "Redispatch",
    "what becomes of a turn whose instance died",
  ),
  recoveryMaxAttempts: setting(
    ENV.recoveryMaxAttempts,
    wholeNumber(1, 100),
    "3",
    "attempts of one turn under `Redispatch`",
  ),
  affinity: setting(
    ENV.affinity,
    oneOf("Context", "None"),
    "Context",
    "whether messages of one context go to one instance",
  ),
  idempotencyWindowSeconds: setting(
    ENV.idempotencyWindowSeconds,
    wholeNumber(0, 365 * days),
    String(days),
    "how long after its end a turn is joined by an equal send; 0 turns it off",
  ),
  retentionSeconds: setting(
    ENV.retentionSeconds,
    wholeNumber(0, 3_650 * days),
    String(7 * days),
    "after the terminal state",
  ),
  accessMode: setting(
    ENV.accessMode,
    oneOf("None", "Agent", "Jwt", "Header"),
    "None",
    "who may see which task; only `None` (one shared caller) is available",
  ),
  accessJwksUrl: setting(ENV.accessJwksUrl, httpUrl(), "unset", "keys for `ACCESS_MODE=Jwt`"),
  accessIssuer: setting(ENV.accessIssuer, text, "unset", "issuer for `ACCESS_MODE=Jwt`"),
  accessAudience: setting(ENV.accessAudience, text, "unset", "audience for `ACCESS_MODE=Jwt`"),
  accessHeader: setting(ENV.accessHeader, headerName, "unset", "trusted header for `ACCESS_MODE=Header`"),
  secretKey: setting(
    ENV.secretKey,
    secretKeys,
    "embedded: generated; required with `DATABASE_URL`",
    "base64 of 32 bytes, several separated by commas (the first encrypts); for headers and push secrets at rest",
  ),
  pushAllow: setting(ENV.pushAllow, pushTargets, "none", "host patterns or CIDRs that push notifications may go to"),
  maxBodyBytes: setting(
    ENV.maxBodyBytes,
    wholeNumber(1_024, 1_073_741_824),
    String(10 * 1_048_576),
    "beyond: 413 with a JSON-RPC error",
  ),
  drainGraceMs: setting(
    ENV.drainGraceMs,
    wholeNumber(0, 3_600_000),
    "25000",
    "how long running turns may go on at exit",
  ),
  drainToken: setting(
    ENV.drainToken,
    identifier,
    "unset: loopback only",
    "allows `/drain` and `/prestop` from elsewhere",
  ),
  logLevel: setting(ENV.logLevel, oneOf("trace", "debug", "info", "warn", "error", "silent"), "info", "JSON lines"),
} as const;

/** Variables whose value may come from the file that `<name>_FILE` names. */
export const FILE_SETTINGS = ["databaseUrl", "natsUrl", "secretKey"] as const;

/** A key of the table. */
export type SettingKey = keyof typeof SETTINGS;

/** Documentation rows: every variable that is read, `_FILE` variants included. */
export const SETTING_ROWS: readonly { name: string; default: string; meaning: string }[] = Object.values(SETTINGS).map(
  ({ name, default: standard, meaning }) => ({ name, default: standard, meaning }),
);
