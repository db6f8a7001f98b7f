import { randomUUID } from "node:crypto";
import { afterAll, beforeAll } from "vitest";
import { openDatabase, type Database } from "../../src/adapters/postgres/client.ts";
import { systemClock } from "../../src/adapters/clock/system-clock.ts";
import { MemoryTaskStore } from "../../src/adapters/memory/task-store.ts";
import { openPostgresTaskStore } from "../../src/adapters/postgres/task-store.ts";
import { createDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { describeTaskStore } from "./task-store.contract.ts";

const WINDOW_SECONDS = 3600;

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createDatabase();
  database = openDatabase({ url: testDatabase.url, poolSize: 5 });
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

describeTaskStore("Postgres", async ({ idempotencyWindowSeconds = WINDOW_SECONDS } = {}) => {
  return openPostgresTaskStore({ prisma: database.prisma, agent: randomUUID(), idempotencyWindowSeconds });
});

describeTaskStore("memory", async ({ idempotencyWindowSeconds = WINDOW_SECONDS } = {}) => {
  return new MemoryTaskStore({ clock: systemClock, idempotencyWindowSeconds });
});
