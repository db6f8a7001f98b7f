import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError, type Environment, loadConfig, loadMigrationUrl } from "./config.ts";
import { SETTINGS } from "./config-settings.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");
const OTHER_KEY = Buffer.alloc(32, 8).toString("base64");
const SHARED = { DATABASE_URL: "postgresql://u:hunter2@db/x", AGENT_KEY: "c/n/a", SECRET_KEY: KEY };

const noFiles = (path: string): string => {
  throw new Error(`ENOENT ${path}`);
};

function problemsOf(env: Environment, readFile = noFiles): readonly string[] {
  try {
    loadConfig(env, readFile);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("loadConfig", () => {
  test("an empty environment means: agent on 8080, everything embedded", () => {
    const config = loadConfig({}, noFiles);
    expect(config.agent).toEqual({ url: new URL("http://127.0.0.1:8080"), key: "default/agent" });
    expect(config.listen).toEqual({
      host: "0.0.0.0",
      port: 15800,
      adminPort: 15801,
      publicUrl: null,
      maxBodyBytes: 10485760,
    });
    expect(config.database).toEqual({ kind: "embedded", poolSize: 5 });
    expect(config.nats).toBeNull();
    expect(config.secretKeys).toBeNull();
    expect(config).toMatchObject({ leaseMs: 5000, affinity: "Context", accessMode: "None", logLevel: "info" });
    expect(config).toMatchObject({
      idempotencyWindowSeconds: 86400,
      retentionSeconds: 604800,
      dataDir: ".durable-agent",
    });
    expect(config.recovery).toEqual({ policy: "Redispatch", maxAttempts: 3 });
    expect(config.drain).toEqual({ graceMs: 25000, token: null });
  });

  test("an empty text counts as unset, whatever the variable", () => {
    const blank = Object.fromEntries(Object.values(SETTINGS).map(({ name }) => [name, " "]));
    expect(loadConfig(blank, noFiles)).toEqual(loadConfig({}, noFiles));
  });

  test("a shared database is taken with its direct URL, keys and relay", () => {
    const config = loadConfig(
      { ...SHARED, SECRET_KEY: `${KEY},${OTHER_KEY}`, NATS_URL: "nats://a:4222,nats://b" },
      noFiles,
    );
    expect(config.database).toEqual({
      kind: "shared",
      url: { value: SHARED.DATABASE_URL, file: null },
      directUrl: SHARED.DATABASE_URL,
      poolSize: 5,
      caFile: null,
    });
    expect(config.secretKeys?.value.map((key) => key[0])).toEqual([7, 8]);
    expect(config.nats?.url.value).toBe("nats://a:4222,nats://b");
  });

  test("secrets come from files, trimmed, and their files are remembered", () => {
    const files: Record<string, string> = { "/s/db": `${SHARED.DATABASE_URL}\n`, "/s/key": `${KEY}\n` };
    const env = { AGENT_KEY: "c/n/a", DATABASE_URL_FILE: "/s/db", SECRET_KEY_FILE: "/s/key" };
    const config = loadConfig(env, (path) => files[path] ?? noFiles(path));
    expect(config.database).toMatchObject({ url: { value: SHARED.DATABASE_URL, file: "/s/db" } });
    expect(config.secretKeys?.file).toBe("/s/key");
  });

  test("the result is frozen all the way down", () => {
    const config = loadConfig(SHARED, noFiles);
    expect(Object.isFrozen(config) && Object.isFrozen(config.listen) && Object.isFrozen(config.database)).toBe(true);
  });

  const refused: [string, Environment, string][] = [
    ["a port that is none", { PORT: "http" }, "PORT: must be a whole number"],
    ["a port out of range", { PORT: "65536" }, "PORT: must be between 1 and 65535"],
    ["two equal ports", { PORT: "15801" }, "ADMIN_PORT: the same as PORT"],
    ["a negative lease", { LEASE_MS: "-1" }, "LEASE_MS: must be a whole number"],
    [
      "an agent URL without a scheme",
      { AGENT_URL: "localhost:8080" },
      "AGENT_URL: must be an absolute http or https URL",
    ],
    ["credentials in the agent URL", { AGENT_URL: "http://u:p@h" }, "AGENT_URL: must not carry a user or password"],
    ["an unknown policy", { RECOVERY_POLICY: "fail" }, "RECOVERY_POLICY: must be one of Redispatch, Fail"],
    [
      "an access mode that does not exist yet",
      { ACCESS_MODE: "Jwt" },
      "ACCESS_MODE: Jwt is not built yet, only None is",
    ],
    ["an access mode nobody knows", { ACCESS_MODE: "x" }, "ACCESS_MODE: must be one of None, Agent, Jwt, Header"],
    [
      "a database of another kind",
      { ...SHARED, DATABASE_URL: "mysql://db/x" },
      "DATABASE_URL: must start with postgresql://",
    ],
    ["a shared database without a key", { ...SHARED, SECRET_KEY: "" }, "SECRET_KEY: required with DATABASE_URL"],
    ["a shared database without a scope", { ...SHARED, AGENT_KEY: undefined }, "AGENT_KEY: required with DATABASE_URL"],
    ["a short secret key", { SECRET_KEY: "c2hvcnQ=" }, "SECRET_KEY: must be base64 of 32 bytes"],
    ["NATS beside an embedded database", { NATS_URL: "nats://n" }, "NATS_URL: only together with DATABASE_URL"],
    ["NATS over http", { ...SHARED, NATS_URL: "http://n" }, "NATS_URL: must be one or more nats://"],
    ["a secret given twice", { ...SHARED, SECRET_KEY_FILE: "/k" }, "SECRET_KEY: set it or SECRET_KEY_FILE, not both"],
    ["a secret file that is missing", { SECRET_KEY_FILE: "/k" }, "SECRET_KEY_FILE: /k cannot be read (ENOENT /k)"],
    [
      "a push target that is a URL",
      { PUSH_ALLOW: "*.example.com, http://x" },
      "PUSH_ALLOW: neither a host pattern nor a CIDR: http://x",
    ],
    ["an agent key with blanks", { AGENT_KEY: "a b" }, "AGENT_KEY: must be 1 to 200 printable characters"],
  ];
  test.each(refused)("refuses %s", (_name, env, message) => {
    const problems = problemsOf(env);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
  });

  test("all problems are reported at once, by variable name", () => {
    const names = problemsOf({ PORT: "x", LEASE_MS: "1", LOG_LEVEL: "loud" }).map((problem) => problem.split(":")[0]);
    expect(names).toEqual(["PORT", "LEASE_MS", "LOG_LEVEL"]);
  });

  test("I10: no text of a secret appears in a problem", () => {
    const secret = ["databaseUrl", "databaseDirectUrl", "natsUrl", "secretKey", "drainToken"] as const;
    fc.assert(
      fc.property(fc.constantFrom(...secret), fc.string({ minLength: 8 }), (key, text) => {
        const needle = `s3cret${text.trim()}`;
        const message = problemsOf({ ...SHARED, [SETTINGS[key].name]: `!! ${needle}` }).join("\n");
        expect(message).not.toContain("s3cret");
      }),
    );
  });
});

describe("loadMigrationUrl", () => {
  const direct = "postgresql://direct/x";
  const rows: [string, Environment, string][] = [
    [
      "takes DATABASE_URL alone, no other variable is required",
      { DATABASE_URL: SHARED.DATABASE_URL },
      SHARED.DATABASE_URL,
    ],
    ["prefers the direct URL", { ...SHARED, DATABASE_DIRECT_URL: direct }, direct],
  ];
  test.each(rows)("%s", (_name, env, url) => {
    expect(loadMigrationUrl(env, noFiles)).toBe(url);
  });
  test("says what is missing", () => {
    expect(() => loadMigrationUrl({}, noFiles)).toThrow("DATABASE_URL: required");
  });
});
