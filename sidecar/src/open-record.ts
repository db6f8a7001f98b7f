/** Opens what the record lives in: a Postgres of our own where none is named, else the shared one. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { claimDataDir } from "./adapters/embedded/data-dir.ts";
import { startEmbeddedPostgres } from "./adapters/embedded/postgres.ts";
import { type Database, openDatabase } from "./adapters/postgres/client.ts";
import { openPostgresTaskStore } from "./adapters/postgres/task-store.ts";
import { migrate, migrationsDirectory, schemaStatus } from "./adapters/postgres/migrate.ts";
import { type Config, ConfigError, type SharedDatabase } from "./config.ts";
import type { Logger } from "./flows/logger.ts";
import type { RecoveryStore } from "./ports/recovery-store.ts";
import type { TaskStore } from "./ports/task-store.ts";
import type { Clock } from "./ports/clock.ts";

export interface OpenedRecord {
  store: TaskStore & RecoveryStore;
  /** First key encrypts. */
  secretKeys: readonly Uint8Array[];
  /** Kept over restarts where the platform gives none. */
  podUid: string | null;
  /** Settles once the schema fits this build; rejects when it is newer. */
  compatible: Promise<void>;
  close(): Promise<void>;
}

const SCHEMA_POLL_MS = 500;

interface RecordDeps {
  log: Logger;
  clock: Clock;
  /** A connection broke while nobody used it. */
  onIdleError: () => void;
}

export async function openRecord(config: Config, deps: RecordDeps): Promise<OpenedRecord> {
  return config.database.kind === "shared" ? openShared(config, config.database, deps) : openEmbedded(config, deps);
}

async function openEmbedded(config: Config, { log, onIdleError }: RecordDeps): Promise<OpenedRecord> {
  const path = resolve(config.dataDir);
  const dataDir = await claimDataDir(path);
  if (dataDir.kind === "held") throw new ConfigError([`DATA_DIR: ${path} is in use by another sidecar`]);
  const postgres = await startEmbeddedPostgres({ dataDir, log: (line) => log.debug({ line }, "postgres") });
  await migrate(postgres.url, migrationsDirectory(), (event, fields) => log.info(fields, event));
  const database = openDatabase({ url: postgres.url, poolSize: config.database.poolSize, onIdleError });
  return {
    store: openStore(config, database),
    secretKeys: config.secretKeys?.value ?? [dataDir.secretKey],
    podUid: dataDir.podUid,
    compatible: Promise.resolve(),
    close: async () => {
      await database.close();
      await postgres.stop();
      dataDir.release();
    },
  };
}

function openShared(config: Config, shared: SharedDatabase, deps: RecordDeps): OpenedRecord {
  const database = openDatabase({
    url: shared.url.value,
    poolSize: shared.poolSize,
    ...(shared.caFile === null ? {} : { ca: readFileSync(shared.caFile, "utf8") }),
    onIdleError: (error) => {
      deps.log.warn({ err: error }, "an idle connection to Postgres broke");
      deps.onIdleError();
    },
  });
  const stopped = new AbortController();
  return {
    store: openStore(config, database),
    secretKeys: config.secretKeys?.value ?? [],
    podUid: null,
    compatible: untilCompatible(database, deps, stopped.signal),
    close: () => {
      stopped.abort();
      return database.close();
    },
  };
}

function openStore(config: Config, database: Database): TaskStore & RecoveryStore {
  const { prisma } = database;
  return openPostgresTaskStore({
    prisma,
    agent: config.agent.key,
    idempotencyWindowSeconds: config.idempotencyWindowSeconds,
  });
}

/** Waits for an older schema to be migrated and for a database that does not answer yet; refuses a newer one. */
async function untilCompatible(
  database: Database,
  deps: { log: Logger; clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  let told = "";
  while (!signal.aborted) {
    const status = await schemaStatus(database.prisma);
    if (status === "current") return;
    if (status === "newer") throw new Error("the database schema is newer than this sidecar: use a newer image");
    if (status !== told)
      deps.log.warn({ schema: status }, status === "older" ? "waiting for migrations" : "waiting for Postgres");
    told = status;
    await deps.clock.sleep(SCHEMA_POLL_MS, signal);
  }
}
