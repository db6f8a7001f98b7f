/** Brings databases to the schema of this version and counts tasks in them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate, migrationsDirectory } from "durable-agent-sidecar/migrate";
import pg from "pg";
import type { StoreAddress, StoreProbe, StoreReport, TaskCounts } from "../../ports/probes.ts";

/** A count over a large table must not pile up behind the next round. */
const countTimeoutMs = 15_000;
/** SQLSTATE of a statement that was ended by its timeout. */
const queryCanceled = "57014";
const connectTimeoutMs = 5_000;

const countTasks = `
  select agent,
    count(*) filter (where state in ('submitted', 'working'))::int as working,
    count(*) filter (where state in ('input-required', 'auth-required'))::int as interrupted,
    count(*) filter (where finished_at is not null)::int as finished,
    min(created_at) filter (where state in ('submitted', 'working')) as oldest_working
  from task
  group by agent`;

interface CountRow {
  agent: string;
  working: number;
  interrupted: number;
  finished: number;
  oldest_working: Date | null;
}

/** Probes with one short-lived connection per look: the operator must not hold the sidecars' connections. */
export function createStoreProbe(
  log: (event: string, fields: Record<string, unknown>) => void,
  timeoutMs = countTimeoutMs,
): StoreProbe {
  /** Databases that were migrated by this process; a failed look forgets, in case the database was replaced. */
  const migrated = new Set<string>();
  const authorities = createAuthorityFiles();
  return {
    inspect: async (store) => {
      const url = await authorities.withAuthority(store);
      if (!migrated.has(url)) {
        const failure = await migrateOnce(url, log);
        if (failure !== undefined) return failure;
        migrated.add(url);
      }
      const report = await count(url, timeoutMs);
      if (report.kind !== "ready") migrated.delete(url);
      return report;
    },
    close: () => authorities.remove(),
  };
}

async function migrateOnce(
  url: string,
  log: (event: string, fields: Record<string, unknown>) => void,
): Promise<StoreReport | undefined> {
  try {
    await migrate(url, migrationsDirectory(), log);
    return undefined;
  } catch (error) {
    const message = describe(error);
    return isConnectionError(error) ? { kind: "unreachable", message } : { kind: "migrationFailed", message };
  }
}

async function count(url: string, timeoutMs: number): Promise<StoreReport> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: timeoutMs,
    application_name: "durable-agent-operator",
  });
  client.on("error", () => undefined); // a lost connection also rejects the query in progress
  try {
    await client.connect();
    const { rows } = await client.query<CountRow>(countTasks);
    return { kind: "ready", counts: new Map(rows.map((row) => [row.agent, toCounts(row)])) };
  } catch (error) {
    // It answers, and only counting takes too long: sidecars never count.
    if ((error as { code?: unknown }).code === queryCanceled) return { kind: "ready", counts: undefined };
    return { kind: "unreachable", message: describe(error) };
  } finally {
    await client.end().catch(() => undefined);
  }
}

function toCounts({ working, interrupted, finished, oldest_working: oldest }: CountRow): TaskCounts {
  return {
    working,
    interrupted,
    finished,
    ...(oldest === null ? {} : { oldestWorking: `${oldest.toISOString().slice(0, 19)}Z` }),
  };
}

/** Certificate authorities as files, because a connection string can only name a file. */
function createAuthorityFiles(): { withAuthority(store: StoreAddress): Promise<string>; remove(): Promise<void> } {
  let directory: Promise<string> | undefined;
  const files = new Map<string, string>();
  return {
    withAuthority: async ({ url, ca }) => {
      if (ca === undefined) return url;
      directory ??= mkdtemp(join(tmpdir(), "durable-agent-ca-"));
      const file = files.get(ca) ?? join(await directory, `${files.size}.crt`);
      if (!files.has(ca)) {
        files.set(ca, file);
        await writeFile(file, ca, { mode: 0o600 });
      }
      const withFile = new URL(url);
      withFile.searchParams.set("sslrootcert", file);
      return withFile.toString();
    },
    remove: async () => {
      if (directory !== undefined) await rm(await directory, { recursive: true, force: true });
    },
  };
}

/** SQLSTATE class 08, and what Node reports before there is a session. */
function isConnectionError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string") return true;
  return /^(08|57P0|53300)/.test(code) || /^E[A-Z]+$/.test(code);
}

/** The driver's message names host and database, never the password. */
function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join("; ");
  return error instanceof Error ? error.message : String(error);
}
