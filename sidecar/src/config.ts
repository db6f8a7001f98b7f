/** Reads the environment once, at start, into one frozen object; nothing else reads it. */
import { FILE_SETTINGS, SETTINGS, type SettingKey } from "./config-settings.ts";

/** The environment as Node gives it. An empty text counts as unset. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads a whole text file; throws when it cannot. Passed in, so that loading stays pure. */
export type FileReader = (path: string) => string;

type ValueOf<K extends SettingKey> = ReturnType<(typeof SETTINGS)[K]["schema"]["parse"]>;

/** A secret's value, and the file it came from (to be read again when that changes). */
export interface FileBacked<T> {
  readonly value: T;
  readonly file: string | null;
}

/** What the sidecar runs with. Times carry their unit in the name. */
export interface Config {
  readonly agent: { readonly url: URL; readonly key: string };
  readonly listen: {
    readonly host: string;
    readonly port: number;
    readonly adminPort: number;
    readonly publicUrl: URL | null;
    readonly maxBodyBytes: number;
  };
  readonly database: EmbeddedDatabase | SharedDatabase;
  /** Null: this process is alone and relays in memory. */
  readonly nats: {
    readonly url: FileBacked<string>;
    readonly credsFile: string | null;
    readonly caFile: string | null;
  } | null;
  readonly identity: {
    readonly instanceId: string | null;
    readonly podName: string | null;
    readonly podUid: string | null;
  };
  /** As written; relative to the working directory. */
  readonly dataDir: string;
  readonly leaseMs: number;
  readonly recovery: { readonly policy: ValueOf<"recoveryPolicy">; readonly maxAttempts: number };
  readonly affinity: ValueOf<"affinity">;
  readonly idempotencyWindowSeconds: number;
  readonly retentionSeconds: number;
  readonly accessMode: "None";
  /** The first encrypts. Null: generated and kept in the data directory (embedded database only). */
  readonly secretKeys: FileBacked<readonly Uint8Array[]> | null;
  readonly pushAllow: readonly string[];
  readonly drain: { readonly graceMs: number; readonly token: string | null };
  readonly logLevel: ValueOf<"logLevel">;
}

/** A Postgres that the sidecar starts itself. */
export interface EmbeddedDatabase {
  readonly kind: "embedded";
  readonly poolSize: number;
}

/** A Postgres that several instances share. */
export interface SharedDatabase {
  readonly kind: "shared";
  readonly url: FileBacked<string>;
  readonly directUrl: string;
  readonly poolSize: number;
  readonly caFile: string | null;
}

/** Says everything that is wrong with the environment, by variable name. The process ends with code 78 (EX_CONFIG). */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`the environment does not fit:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

const EMBEDDED_AGENT_KEY = "default/agent";

/** Throws a {@link ConfigError} with every problem at once. Values of secrets appear in no message. */
export function loadConfig(env: Environment, readFile: FileReader): Config {
  const source = new SettingSource(env, readFile);
  const values = source.readAll();
  const { problems } = source;
  const shared = source.isGiven("databaseUrl");
  if (shared && !source.isGiven("agentKey")) {
    problems.push("AGENT_KEY: required with DATABASE_URL, it keeps the agents of a shared database apart");
  }
  if (shared && !source.isGiven("secretKey")) {
    problems.push(
      "SECRET_KEY: required with DATABASE_URL, every instance needs the same one (openssl rand -base64 32)",
    );
  }
  if (values.accessMode !== null && values.accessMode.value !== "None") {
    problems.push(`ACCESS_MODE: ${values.accessMode.value} is not built yet, only None is`);
  }
  if (!shared && source.isGiven("databaseDirectUrl")) {
    problems.push("DATABASE_DIRECT_URL: only together with DATABASE_URL");
  }
  if (!shared && source.isGiven("natsUrl")) {
    problems.push("NATS_URL: only together with DATABASE_URL, an embedded database serves one instance");
  }
  if (values.port?.value === values.adminPort?.value && values.port !== null) {
    problems.push("ADMIN_PORT: the same as PORT");
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return deepFreeze(assemble(values as CompleteValues));
}

/** What a migration run needs of the environment: the direct URL, else `DATABASE_URL` (or its file). */
export function loadMigrationUrl(env: Environment, readFile: FileReader): string {
  const source = new SettingSource(env, readFile);
  const url = source.read("databaseDirectUrl") ?? source.read("databaseUrl");
  if (url === null && source.problems.length === 0) {
    source.problems.push("DATABASE_URL: required, the database to migrate");
  }
  if (url === null || source.problems.length > 0) throw new ConfigError(source.problems);
  return url.value;
}

type Values = { [K in SettingKey]: FileBacked<ValueOf<K>> | null };
type CompleteValues = Values & { [K in DefaultedKey]: FileBacked<ValueOf<K>> };
type DefaultedKey = (typeof DEFAULTED)[number];

/** Settings whose documented default is the text of a value. */
const DEFAULTED = [
  "agentUrl",
  "host",
  "port",
  "adminPort",
  "databasePoolSize",
  "dataDir",
  "leaseMs",
  "recoveryPolicy",
  "recoveryMaxAttempts",
  "affinity",
  "idempotencyWindowSeconds",
  "retentionSeconds",
  "accessMode",
  "maxBodyBytes",
  "drainGraceMs",
  "logLevel",
] as const satisfies readonly SettingKey[];

class SettingSource {
  readonly problems: string[] = [];
  readonly #env: Environment;
  readonly #readFile: FileReader;
  constructor(env: Environment, readFile: FileReader) {
    this.#env = env;
    this.#readFile = readFile;
  }

  /** Whether there is a text, right or wrong. */
  isGiven(key: SettingKey): boolean {
    return this.#variable(SETTINGS[key].name) !== null || this.#fileVariable(key) !== null;
  }

  readAll(): Values {
    const entries = (Object.keys(SETTINGS) as SettingKey[]).map((key) => [key, this.read(key)] as const);
    return Object.fromEntries(entries) as unknown as Values;
  }

  /** The parsed value or its default; null where there is neither, or a problem (which is noted). */
  read<K extends SettingKey>(key: K): FileBacked<ValueOf<K>> | null {
    const setting = SETTINGS[key];
    const text = this.#text(key);
    if (text === null) return null;
    const parsed = setting.schema.safeParse(text.value);
    if (parsed.success) return { value: parsed.data as ValueOf<K>, file: text.file };
    for (const issue of parsed.error.issues) this.problems.push(`${setting.name}: ${issue.message}`);
    return null;
  }

  #text(key: SettingKey): FileBacked<string> | null {
    const { name } = SETTINGS[key];
    const direct = this.#variable(name);
    const file = this.#fileVariable(key);
    if (direct !== null && file !== null) {
      this.problems.push(`${name}: set it or ${name}_FILE, not both`);
      return null;
    }
    if (file !== null) return this.#fileText(`${name}_FILE`, file);
    if (direct !== null) return { value: direct, file: null };
    return (DEFAULTED as readonly string[]).includes(key) ? { value: SETTINGS[key].default, file: null } : null;
  }

  #fileText(name: string, file: string): FileBacked<string> | null {
    try {
      const value = this.#readFile(file).trim();
      if (value !== "") return { value, file };
      this.problems.push(`${name}: ${file} is empty`);
    } catch (error) {
      this.problems.push(`${name}: ${file} cannot be read (${error instanceof Error ? error.message : String(error)})`);
    }
    return null;
  }

  #fileVariable(key: SettingKey): string | null {
    return (FILE_SETTINGS as readonly string[]).includes(key) ? this.#variable(`${SETTINGS[key].name}_FILE`) : null;
  }

  #variable(name: string): string | null {
    const value = this.#env[name]?.trim();
    return value === undefined || value === "" ? null : value;
  }
}

function assemble(values: CompleteValues): Config {
  return {
    agent: { url: values.agentUrl.value, key: values.agentKey?.value ?? EMBEDDED_AGENT_KEY },
    listen: {
      host: values.host.value,
      port: values.port.value,
      adminPort: values.adminPort.value,
      publicUrl: values.publicUrl?.value ?? null,
      maxBodyBytes: values.maxBodyBytes.value,
    },
    database: assembleDatabase(values),
    nats:
      values.natsUrl === null
        ? null
        : {
            url: values.natsUrl,
            credsFile: values.natsCredsFile?.value ?? null,
            caFile: values.natsCaFile?.value ?? null,
          },
    identity: {
      instanceId: values.instanceId?.value ?? null,
      podName: values.podName?.value ?? null,
      podUid: values.podUid?.value ?? null,
    },
    dataDir: values.dataDir.value,
    leaseMs: values.leaseMs.value,
    recovery: { policy: values.recoveryPolicy.value, maxAttempts: values.recoveryMaxAttempts.value },
    affinity: values.affinity.value,
    idempotencyWindowSeconds: values.idempotencyWindowSeconds.value,
    retentionSeconds: values.retentionSeconds.value,
    accessMode: "None",
    secretKeys: values.secretKey,
    pushAllow: values.pushAllow?.value ?? [],
    drain: { graceMs: values.drainGraceMs.value, token: values.drainToken?.value ?? null },
    logLevel: values.logLevel.value,
  };
}

function assembleDatabase(values: CompleteValues): EmbeddedDatabase | SharedDatabase {
  const poolSize = values.databasePoolSize.value;
  if (values.databaseUrl === null) return { kind: "embedded", poolSize };
  return {
    kind: "shared",
    url: values.databaseUrl,
    directUrl: values.databaseDirectUrl?.value ?? values.databaseUrl.value,
    poolSize,
    caFile: values.databaseCaFile?.value ?? null,
  };
}

/** URLs and byte arrays cannot be frozen; they are not written to either. */
function deepFreeze<T>(value: T): T {
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value) || value instanceof URL) return value;
  for (const member of Object.values(value)) deepFreeze(member);
  return Object.freeze(value);
}
