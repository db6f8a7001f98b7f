/** The connections of one instance, seen from the server. */
import { afterEach, beforeEach, expect, it } from "vitest";
import pg from "pg";
import { keepFull } from "../../src/adapters/postgres/keep-full.ts";
import { type Database, openDatabase } from "../../src/adapters/postgres/client.ts";
import { createDatabase } from "../support/database.ts";
import { type Link, openLink } from "../support/link.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { openTestRecord, type TestRecord } from "../support/record.ts";
import { waitFor } from "../support/wait.ts";

const POOL_SIZE = 5;

let database: TestDatabase;
let observer: TestRecord;
let link: Link;
let pool: Database;

beforeEach(async () => {
  database = await createDatabase();
  observer = await openTestRecord(database.url, { poolSize: 1 });
  link = await openLink(Number(new URL(database.url).port));
  const url = new URL(database.url);
  url.port = String(link.port);
  pool = openDatabase({ url: url.href, poolSize: POOL_SIZE });
});

afterEach(async () => {
  await pool.close();
  await link.close();
  await observer.close();
  await database.drop();
});

/** Process ids of the server's sessions. */
async function sessions(): Promise<number[]> {
  const { rows } = await observer.sql.query<{ pid: number }>(
    "select pid from pg_stat_activity where datname = current_database() and application_name = 'durable-agent'",
  );
  return rows.map(({ pid }) => pid);
}

const full = { message: "the pool is not full" };
const isFull = async (): Promise<boolean> => (await sessions()).length === POOL_SIZE;
const ask = (): Promise<unknown> => pool.prisma.$queryRaw`select 1`;

it("B7: all connections are made with the first one", async () => {
  expect(await sessions()).toEqual([]);
  await ask();
  await waitFor(isFull, full);
});

it("B7: a statement on a full pool takes one connection, and nothing else is taken", async () => {
  const plain = new pg.Pool({ connectionString: database.url, min: POOL_SIZE, max: POOL_SIZE });
  keepFull(plain, POOL_SIZE);
  await plain.query("select 1");
  await waitFor(() => plain.idleCount === POOL_SIZE, full);
  let taken = 0;
  plain.on("acquire", () => {
    taken += 1;
  });
  for (let n = 0; n < 3; n += 1) await plain.query("select 1");
  await plain.end();
  expect(taken).toBe(3);
});

it("B7: a connection that breaks is made anew, before any statement needs it", async () => {
  await ask();
  await waitFor(isFull, full);
  const [victim] = await sessions();
  await observer.sql.query("select pg_terminate_backend($1)", [victim]);
  await waitFor(async () => {
    const now = await sessions();
    return now.length === POOL_SIZE && !now.includes(victim ?? 0);
  }, full);
});

it("B7: all are made anew with the first statement after an outage", async () => {
  await ask();
  await waitFor(isFull, full);
  const before = new Set(await sessions());
  link.cut();
  await waitFor(async () => {
    await ask().catch(() => undefined);
    const now = await sessions();
    return now.length === POOL_SIZE && now.every((pid) => !before.has(pid));
  }, full);
});

it("B7: a statement takes the first connection that is free, not one that is still being made", async () => {
  await ask();
  await waitFor(isFull, full);
  link.silenceNew();
  for (const pid of (await sessions()).slice(1)) await observer.sql.query("select pg_terminate_backend($1)", [pid]);
  await waitFor(() => link.silenced === POOL_SIZE - 1, { message: "the pool does not make them anew" });
  expect(await Promise.allSettled(Array.from({ length: 3 * POOL_SIZE }, ask))).toEqual(
    Array.from({ length: 3 * POOL_SIZE }, () => expect.objectContaining({ status: "fulfilled" })),
  );
});
