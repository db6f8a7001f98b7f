/**
 * A statement is planned once, on tables that may still be empty, and keeps its plan: it has to stay cheap when the agent
 * has many tasks and nobody has analysed the tables since.
 */
import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Database, openDatabase } from "../../src/adapters/postgres/client.ts";
import { openPostgresTaskStore, type PostgresTaskStore } from "../../src/adapters/postgres/task-store.ts";
import { endingWrite, startTask, writeOf } from "../contract/task-store-rows.ts";
import { createDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { waitFor } from "../support/wait.ts";

const TASKS = 300;
const WRITES = 60;
const EVENTS = 200;

let testDatabase: TestDatabase;
let database: Database;
let store: PostgresTaskStore;
let observer: pg.Client;

beforeAll(async () => {
  testDatabase = await createDatabase();
  // One connection: the plans made on empty tables are the ones that are used later.
  database = openDatabase({ url: testDatabase.url, poolSize: 1 });
  store = openPostgresTaskStore({ prisma: database.prisma, agent: randomUUID(), idempotencyWindowSeconds: 60 });
  observer = new pg.Client({ connectionString: testDatabase.url });
  await observer.connect();
});

afterAll(async () => {
  await observer.end();
  await database.close();
  await testDatabase.drop();
});

/** Index entries read so far, in all tables together; sequential reads count too. */
async function entriesRead(): Promise<number> {
  const { rows } = await observer.query<{ entries: number }>(
    `select coalesce(sum(idx_tup_read), 0)::int + (select coalesce(sum(seq_tup_read), 0)::int from pg_stat_user_tables) as entries
     from pg_stat_user_indexes`,
  );
  return rows[0]?.entries ?? 0;
}

/** Servers publish a session's counters within a second of its falling idle: read until they stand still. */
async function entriesReadAtRest(): Promise<number> {
  let [last, sinceMs] = [-1, performance.now()];
  await waitFor(
    async () => {
      const now = await entriesRead();
      if (now !== last) [last, sinceMs] = [now, performance.now()];
      return performance.now() - sinceMs > 1_500;
    },
    { message: "the counters stand still", intervalMs: 200, deadlineMs: 20_000 },
  );
  return last;
}

it("appends, ends of turns and pages of the log read what they name, however many tasks the agent has", async () => {
  const first = await startTask(store);
  for (let n = 1; n <= 10; n += 1) await store.append([writeOf(first.taskId, n)]);
  await store.readEvents(first.taskId, 0, 10, 1_000_000);
  const tasks = [];
  for (let n = 0; n < TASKS; n += 1) tasks.push(await startTask(store));
  const long = await startTask(store);
  const events = Array.from({ length: EVENTS }, () => ({ kind: "status" as const, payload: "{}", hidden: null }));
  await store.append([writeOf(long.taskId, 1, { events })]);
  const before = await entriesReadAtRest();

  const written = tasks.slice(0, WRITES);
  await store.append(written.map(({ taskId }) => writeOf(taskId, 1)));
  await store.append(written.map(({ taskId, turnId }) => endingWrite(taskId, 2, turnId)));
  for (let after = 0; after < EVENTS; after += 20) await store.readEvents(long.taskId, after, 20, 1_000_000);

  const read = (await entriesReadAtRest()) - before;
  // Some thousands with what the server reads for itself. A look-up that reads all of the agent's tasks would make it 300
  // for each of the writes, over 20 000.
  expect(read).toBeLessThan((WRITES * TASKS) / 2);
});
