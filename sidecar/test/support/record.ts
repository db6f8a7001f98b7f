/** A record on a database of its own, for tests that look at Postgres from two sides. */
import { randomUUID } from "node:crypto";
import pg from "pg";
import { openDatabase } from "../../src/adapters/postgres/client.ts";
import { openPostgresTaskStore, type PostgresTaskStore } from "../../src/adapters/postgres/task-store.ts";
import { waitFor } from "./wait.ts";

/** A store, and a plain connection to the same database for what the port does not do. */
export interface TestRecord {
  store: PostgresTaskStore;
  agentKey: string;
  sql: pg.Client;
  close(): Promise<void>;
}

export async function openTestRecord(url: string, options: { poolSize?: number } = {}): Promise<TestRecord> {
  const { prisma } = openDatabase({ url, poolSize: options.poolSize ?? 5 });
  const agentKey = randomUUID();
  const store = openPostgresTaskStore({ prisma, agent: agentKey, idempotencyWindowSeconds: 3600 });
  const sql = new pg.Client({ connectionString: url });
  sql.on("error", () => undefined);
  await sql.connect();
  return {
    store,
    agentKey,
    sql,
    close: async () => {
      await store.close();
      await sql.end();
    },
  };
}

/** Resolves when so many other sessions of the database wait for a lock. */
export async function waitForLockWaiters(sql: pg.Client, count: number): Promise<void> {
  await waitFor(async () => (await lockWaiters(sql)).length >= count, {
    message: `fewer than ${count} wait for a lock`,
  });
}

/** Process ids of the sessions of the database that wait for a lock. */
export async function lockWaiters(sql: pg.Client): Promise<number[]> {
  await sql.query("select pg_stat_clear_snapshot()"); // within a transaction the view stands still otherwise
  const { rows } = await sql.query<{ pid: number }>(
    "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rows.map(({ pid }) => pid);
}
