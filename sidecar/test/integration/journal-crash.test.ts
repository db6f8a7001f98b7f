/** What a crash of the server takes of the journal, and who makes up for it. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { migrate, migrationsDirectory } from "../../src/adapters/postgres/migrate.ts";
import { creationOf, journaled, newTurn } from "../contract/task-store-rows.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { UnflushedTurns } from "../../src/flows/unflushed-turns.ts";
import { systemClock } from "../../src/adapters/clock/system-clock.ts";
import { waitFor } from "../support/wait.ts";
import { openTestRecord, type TestRecord } from "../support/record.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let postgres: TestPostgres;
let record: TestRecord;

beforeAll(async () => {
  // Nothing but a commit that waits for it writes the log out meanwhile.
  postgres = await startPostgres({ settings: { wal_writer_delay: "10s", synchronous_commit: "on" } });
  const database = await postgres.createDatabase();
  await migrate(database.url, migrationsDirectory(), () => undefined);
  record = await openTestRecord(database.url);
});

afterAll(async () => {
  await record.close();
  await postgres.close();
});

it("P4: a message for another instance survives a crash, and one for this instance is put back by its first event", async () => {
  const { store } = record;
  const other = await journaled(store, { instance: "b" });
  // Later than the first, so that its loss shows that nothing wrote the log out by chance.
  const wanted = newTurn();
  await store.journal(wanted);
  await postgres.crash();
  await postgres.start();
  expect(await store.readTurn(other.id).catch(() => store.readTurn(other.id))).toMatchObject({ state: "journaled" });
  expect(await store.readTurn(wanted.id)).toBeNull();
  const outcome = await store.createTask(creationOf({ id: wanted.id, epoch: 1 }, { turn: wanted }));
  expect(outcome).toMatchObject({ kind: "created" });
});

it("P7: a message for this instance is put back as soon as the store answers again, so that the same send elsewhere joins it", async () => {
  const guarded = new UnflushedTurns({ clock: systemClock, log: silent }).guard(record.store);
  const wanted = newTurn({ dedupeKey: "retried" });
  await guarded.journal(wanted);
  await postgres.crash();
  await expect(guarded.readPulses()).rejects.toMatchObject({ name: "StoreError" });
  await postgres.start();
  await waitFor(() => guarded.readPulses(), { message: "the store does not answer" });
  const again = await record.store.journal(newTurn({ dedupeKey: "retried", instance: "b", self: "b" }));
  expect(again).toMatchObject({ kind: "joined", turn: { id: wanted.id, state: "dispatched" } });
});
