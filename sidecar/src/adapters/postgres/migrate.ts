/**
 * Applies the migrations without Prisma's CLI, and leaves the rows that `prisma migrate` expects: its table, its
 * checksums, its advisory lock. Several instances may start at once: one applies, the others wait and find it done.
 */
import { createHash, randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import type { Prisma } from "../../generated/client.ts";

/** The lock Prisma's schema engine takes while it migrates. */
const MIGRATION_LOCK = 72_707_369;

const CONNECT_TIMEOUT_MS = 10_000;

const CREATE_HISTORY = `create table if not exists _prisma_migrations (
  id varchar(36) primary key not null,
  checksum varchar(64) not null,
  finished_at timestamptz,
  migration_name varchar(255) not null,
  logs text,
  rolled_back_at timestamptz,
  started_at timestamptz not null default now(),
  applied_steps_count integer not null default 0
)`;

/** Receives what a migration run did: an event name and its fields. */
export type MigrationLog = (event: string, fields: Record<string, unknown>) => void;

interface Migration {
  name: string;
  sql: string;
  /** SHA-256 of the file's bytes, hex, as Prisma computes it. */
  checksum: string;
}

interface HistoryRow {
  migration_name: string;
  checksum: string;
  finished_at: Date | null;
}

/** The migrations of this build: beside the bundle when there is one, else in the source tree. Throws when neither is. */
export function migrationsDirectory(): string {
  const places = ["./prisma/migrations", "../../../prisma/migrations"];
  const found = places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((place) => existsSync(place));
  if (found === undefined) throw new Error(`no migrations beside this program (looked for ${places.join(" and ")})`);
  return found;
}

/**
 * Brings the database up to date and returns the names of the migrations it applied, in order. Each file runs as one
 * transaction. Throws when one fails, when one failed earlier and was not resolved, or when the server cannot be asked.
 * The connection must reach Postgres itself: the lock belongs to the session, which a pooler may not keep.
 */
export async function migrate(databaseUrl: string, directory: string, log: MigrationLog): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on("error", () => undefined); // a lost connection also rejects the query in progress
  await client.connect();
  try {
    await client.query("select pg_advisory_lock($1)", [MIGRATION_LOCK]);
    await client.query(CREATE_HISTORY);
    const history = await readHistory(client);
    const applied: string[] = [];
    for (const migration of readMigrations(directory)) {
      const earlier = history.get(migration.name);
      if (earlier === undefined) {
        await apply(client, migration);
        log("migration applied", { migration: migration.name });
        applied.push(migration.name);
      } else if (earlier.checksum !== migration.checksum) {
        log("migration was edited after it ran", { migration: migration.name });
      }
    }
    return applied;
  } finally {
    await client.end();
  }
}

/** How the database's schema relates to the migrations this build knows. */
export type SchemaStatus = "current" | "older" | "newer" | "unreachable";

/**
 * Compares by name. `newer`: it has migrations this build does not know. `older`: it lacks some, or has no schema at
 * all, or one is unfinished. Never rejects.
 */
export async function schemaStatus(
  client: { $queryRaw: (query: TemplateStringsArray | Prisma.Sql) => Promise<unknown> },
  directory = migrationsDirectory(),
): Promise<SchemaStatus> {
  const known = readMigrations(directory).map((migration) => migration.name);
  let names: Set<string>;
  try {
    const exists = (await client.$queryRaw`
      select to_regclass('_prisma_migrations') is not null as there`) as { there: boolean }[];
    if (exists[0]?.there !== true) return "older";
    const rows = (await client.$queryRaw`
      select migration_name as name from _prisma_migrations
      where finished_at is not null and rolled_back_at is null`) as { name: string }[];
    names = new Set(rows.map((row) => row.name));
  } catch {
    return "unreachable";
  }
  if (known.some((name) => !names.has(name))) return "older";
  return names.size > known.length ? "newer" : "current";
}

function readMigrations(directory: string): Migration[] {
  const names = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  return names.map((name) => {
    const bytes = readFileSync(join(directory, name, "migration.sql"));
    return { name, sql: bytes.toString("utf8"), checksum: createHash("sha256").update(bytes).digest("hex") };
  });
}

async function readHistory(client: pg.Client): Promise<Map<string, HistoryRow>> {
  const { rows } = await client.query<HistoryRow>(
    `select migration_name, checksum, finished_at from _prisma_migrations
     where rolled_back_at is null order by started_at`,
  );
  const failed = rows.find((row) => row.finished_at === null);
  if (failed !== undefined) {
    throw new Error(`migration ${failed.migration_name} failed earlier: repair it, then run prisma migrate resolve`);
  }
  return new Map(rows.map((row) => [row.migration_name, row]));
}

async function apply(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  const id = randomUUID();
  await client.query("insert into _prisma_migrations (id, checksum, migration_name) values ($1, $2, $3)", [
    id,
    checksum,
    name,
  ]);
  try {
    await client.query(sql); // without parameters the whole file is one implicit transaction
  } catch (error) {
    await client.query("update _prisma_migrations set logs = $2 where id = $1", [id, String(error)]);
    throw new Error(`migration ${name} failed`, { cause: error });
  }
  await client.query("update _prisma_migrations set finished_at = now(), applied_steps_count = 1 where id = $1", [id]);
}
