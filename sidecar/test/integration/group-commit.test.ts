/** The group commit on a real Postgres that loses connections, restarts, and is given what it cannot store. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/adapters/clock/system-clock.ts";
import { migrate, migrationsDirectory } from "../../src/adapters/postgres/migrate.ts";
import { GroupCommit } from "../../src/flows/group-commit.ts";
import type { StoreError } from "../../src/ports/task-store.ts";
import { startTask, statusEvent, writeOf } from "../contract/task-store-rows.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { lockWaiters, openTestRecord, type TestRecord, waitForLockWaiters } from "../support/record.ts";
import { waitFor } from "../support/wait.ts";

let postgres: TestPostgres;
let databaseName: string;
let record: TestRecord;

beforeAll(async () => {
  postgres = await startPostgres();
  const database = await postgres.createDatabase();
  databaseName = database.name;
  await migrate(database.url, migrationsDirectory(), () => undefined);
  record = await openTestRecord(database.url);
});

afterAll(async () => {
  await record.close();
  await postgres.close();
});

/** Appends numbered events to each task, one write after the other without waiting, and settles them all. */
function openCommits() {
  const failures: StoreError["kind"][] = [];
  const commits = new GroupCommit(record.store, systemClock, { onFailure: ({ kind }) => failures.push(kind) });
  const append = async (taskIds: string[], count: number) => {
    const pending = taskIds.flatMap((taskId) =>
      Array.from({ length: count }, (_, index) =>
        commits.append(writeOf(taskId, index + 1, { events: [statusEvent(`${index + 2}`)] })),
      ),
    );
    return Promise.all(pending);
  };
  return { commits, failures, append };
}

/** A connection of the pool may be gone without the pool knowing yet: the first read can fail. */
async function expectLogs(taskIds: string[], count: number): Promise<void> {
  for (const taskId of taskIds) {
    const events = await waitFor(() => record.store.readEvents(taskId, 1, 10_000, 1e7), { message: "no events read" });
    expect(events.map(({ generation, payload }) => [generation, payload])).toEqual(
      Array.from({ length: count }, (_, index) => [index + 2, `${index + 2}`]),
    );
  }
}

describe("the group commit on Postgres", () => {
  it("records what many tasks append, in few statements", async () => {
    const tasks = await Promise.all(Array.from({ length: 20 }, () => startTask(record.store)));
    const { append } = openCommits();
    const ids = tasks.map(({ taskId }) => taskId);
    expect(new Set((await append(ids, 50)).map(({ kind }) => kind))).toEqual(new Set(["committed"]));
    await expectLogs(ids, 50);
  });

  it("a NUL in one payload fails that task alone", async () => {
    const tasks = await Promise.all(Array.from({ length: 6 }, () => startTask(record.store)));
    const { commits } = openCommits();
    const results = await Promise.allSettled(
      tasks.map(({ taskId }, i) =>
        commits.append(writeOf(taskId, 1, { events: [statusEvent(i === 3 ? "a\u0000b" : "fine")] })),
      ),
    );
    expect(results.map(({ status }) => status)).toEqual([
      "fulfilled",
      "fulfilled",
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
    ]);
  });

  it("I1: a backend that is terminated in the middle of an append costs no event and repeats none", async () => {
    const { taskId } = await startTask(record.store);
    const { append, failures } = openCommits();
    await record.sql.query("begin");
    await record.sql.query("select 1 from task where id = $1 for update", [taskId]);
    const appending = append([taskId], 5);
    await waitForLockWaiters(record.sql, 1);
    const [pid] = await lockWaiters(record.sql);
    await record.sql.query("select pg_terminate_backend($1)", [pid]);
    await waitFor(() => failures.length > 0, { message: "the append did not notice" });
    await record.sql.query("commit");
    expect(new Set((await appending).map(({ kind }) => kind))).toEqual(new Set(["committed"]));
    expect(failures).toContain("unknown-outcome");
    await expectLogs([taskId], 5);
  });

  it("I1 P11: connections that are cut at random while everybody appends cost no event", async () => {
    const tasks = await Promise.all(Array.from({ length: 10 }, () => startTask(record.store)));
    const ids = tasks.map(({ taskId }) => taskId);
    const { commits, failures } = openCommits();
    let cuts = 0;
    const appending = Promise.all(
      ids.map(async (taskId) => {
        for (let g = 1; g <= 30; g += 1) {
          const outcome = await commits.append(writeOf(taskId, g, { events: [statusEvent(`${g + 1}`)] }));
          expect(outcome.kind).toBe("committed");
          if (taskId === ids[0] && g % 6 === 0) {
            cuts += 1;
            await record.sql.query(
              `select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()`,
            );
          }
        }
      }),
    );
    await appending;
    expect(cuts).toBe(5);
    expect(failures.length).toBeGreaterThan(0);
    await expectLogs(ids, 30);
  });

  it("P11: a restart of the server is a pause, not a loss", async () => {
    const tasks = await Promise.all(Array.from({ length: 5 }, () => startTask(record.store)));
    const ids = tasks.map(({ taskId }) => taskId);
    const { commits, failures } = openCommits();
    const first = await Promise.all(ids.map((id) => commits.append(writeOf(id, 1, { events: [statusEvent("2")] }))));
    expect(new Set(first.map(({ kind }) => kind))).toEqual(new Set(["committed"]));
    await postgres.stop();
    const pending = ids.flatMap((id) =>
      [2, 3].map((g) => commits.append(writeOf(id, g, { events: [statusEvent(`${g + 1}`)] }))),
    );
    await waitFor(() => failures.length >= 3, { message: "the outage was not noticed" });
    await postgres.start();
    const outcomes = await Promise.all(pending);
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(["committed"]));
    await expectLogs(ids, 3);
    await record.close();
    record = await openTestRecord(postgres.url(databaseName));
  });
});
