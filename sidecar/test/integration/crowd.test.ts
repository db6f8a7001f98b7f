/** What clients cause by the hundred, and the lease, on the few connections of one instance. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openDatabase, type Database } from "../../src/adapters/postgres/client.ts";
import { keepCrowdApart } from "../../src/adapters/postgres/crowd.ts";
import { gateOwnerWrites } from "../../src/flows/gated-store.ts";
import { openPostgresTaskStore } from "../../src/adapters/postgres/task-store.ts";
import { journaled, LEASE_MS, newTurn } from "../contract/task-store-rows.ts";
import { createDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { openTestRecord, type TestRecord, waitForLockWaiters } from "../support/record.ts";

const POOL_SIZE = 5;

let database: TestDatabase;
let record: TestRecord;
let pool: Database;

beforeAll(async () => {
  database = await createDatabase();
  record = await openTestRecord(database.url);
  pool = openDatabase({ url: database.url, poolSize: POOL_SIZE });
});

afterAll(async () => {
  await pool.close();
  await record.close();
  await database.drop();
});

it("a lease is renewed and peers are looked at while many statements of messages wait for the database", async () => {
  const agent = randomUUID();
  const open = openPostgresTaskStore({ prisma: pool.prisma, agent, idempotencyWindowSeconds: 3600 });
  const store = keepCrowdApart(open, POOL_SIZE);
  await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
  const turn = await journaled(store);
  await record.sql.query("begin");
  await record.sql.query("lock table turn in access exclusive mode");
  const owner = { instance: "a", epoch: turn.epoch };
  const crowd = Array.from({ length: 10 }, () => [
    store.takeTurn(turn.id, "b"),
    store.readTurn(turn.id),
    store.readTurns([turn.id]),
    store.reassignTurn(turn.id, "b", "c"),
    store.journal(newTurn()),
    store.lastInstance("", "", "context"),
    store.endTurn({ turnId: "unknown", state: "done", reply: null, ...owner }),
  ]).flat();
  try {
    await waitForLockWaiters(record.sql, 3);
    for (let n = 0; n < 3; n += 1) expect(await store.renewInstance("a", LEASE_MS, false)).toBe(true);
    expect(await store.readPulses()).toMatchObject([{ id: "a" }]);
  } finally {
    await record.sql.query("rollback");
  }
  expect((await Promise.allSettled(crowd)).filter(({ status }) => status === "rejected")).toEqual([]);
});

it("P5, I7: what has waited until its instance was past its deadline is not sent", async () => {
  const agent = randomUUID();
  const open = openPostgresTaskStore({ prisma: pool.prisma, agent, idempotencyWindowSeconds: 3600 });
  let mayAct = true;
  const store = keepCrowdApart(
    gateOwnerWrites(open, () => mayAct),
    POOL_SIZE,
  );
  await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
  const turn = await journaled(store, { instance: "a", self: "b" });
  await record.sql.query("begin");
  await record.sql.query("lock table turn in access exclusive mode");
  const reads = Array.from({ length: POOL_SIZE - 2 }, () => store.readTurn(turn.id));
  const late = Promise.allSettled([store.takeTurn(turn.id, "a"), store.journal(newTurn())]);
  try {
    await waitForLockWaiters(record.sql, reads.length);
    mayAct = false;
  } finally {
    await record.sql.query("rollback");
  }
  const refused = { status: "rejected", reason: { kind: "unavailable" } };
  expect(await late).toMatchObject([refused, refused]);
  expect((await Promise.all(reads)).map((read) => read?.state)).toEqual(reads.map(() => "journaled"));
  expect(await open.readTurn(turn.id)).toMatchObject({ state: "journaled" });
});
