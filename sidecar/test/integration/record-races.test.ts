/** What only a real Postgres can do to the record: statements of several owners that meet at one row. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  creationOf,
  endingWrite,
  headOf,
  journaled,
  LEASE_MS,
  newTurn,
  startTask,
  statusEvent,
  taskNamed,
  writeOf,
} from "../contract/task-store-rows.ts";
import { createDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { openTestRecord, type TestRecord, waitForLockWaiters } from "../support/record.ts";

let database: TestDatabase;
let record: TestRecord;

beforeAll(async () => {
  database = await createDatabase();
  record = await openTestRecord(database.url, { poolSize: 24 });
  await record.store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
});

afterAll(async () => {
  await record.close();
  await database.drop();
});

/** Holds the task's row while `meet` lines up statements behind it. */
async function whileLocked(taskId: string, meet: () => Promise<void>): Promise<void> {
  await record.sql.query("begin");
  await record.sql.query("select 1 from task where agent = $1 and id = $2 for update", [record.agentKey, taskId]);
  try {
    await meet();
  } finally {
    await record.sql.query("commit");
  }
}

describe("statements that meet at one task", () => {
  it("a follow-up that is queued while the turn before it ends is promoted by that end", async () => {
    const { store, sql } = record;
    const { taskId, turnId } = await startTask(store);
    let journaling: ReturnType<typeof journaled> | undefined;
    let ending: ReturnType<typeof store.append> | undefined;
    await whileLocked(taskId, async () => {
      journaling = journaled(store, { taskId });
      await waitForLockWaiters(sql, 1);
      ending = store.append([endingWrite(taskId, 1, turnId)]);
      await waitForLockWaiters(sql, 2);
    });
    const turn = await journaling;
    expect(turn?.state).toBe("queued");
    expect(await ending).toEqual([{ kind: "committed", promoted: turn?.id, failed: [], closed: [] }]);
  });

  it("a follow-up that waited for the end of the turn before it is not queued behind nothing", async () => {
    const { store, sql } = record;
    const { taskId, turnId } = await startTask(store);
    let journaling: ReturnType<typeof journaled> | undefined;
    let ending: ReturnType<typeof store.append> | undefined;
    await whileLocked(taskId, async () => {
      ending = store.append([endingWrite(taskId, 1, turnId)]);
      await waitForLockWaiters(sql, 1);
      journaling = journaled(store, { taskId });
      await waitForLockWaiters(sql, 2);
    });
    expect(await ending).toMatchObject([{ kind: "committed", promoted: null }]);
    expect(await journaling).toMatchObject({ state: "dispatched" });
  });

  it("P6: a follow-up that is queued while its task ends fails with it", async () => {
    const { store, sql } = record;
    const { taskId, turnId } = await startTask(store);
    let journaling: ReturnType<typeof journaled> | undefined;
    let ending: ReturnType<typeof store.append> | undefined;
    await whileLocked(taskId, async () => {
      journaling = journaled(store, { taskId });
      await waitForLockWaiters(sql, 1);
      ending = store.append([endingWrite(taskId, 1, turnId, "completed")]);
      await waitForLockWaiters(sql, 2);
    });
    const turn = await journaling;
    expect(await ending).toEqual([{ kind: "committed", promoted: null, failed: [turn?.id], closed: [] }]);
    expect(await store.readTurn(turn?.id ?? "")).toMatchObject({ state: "failed" });
  });

  it("P5: an append that waited while its owner was deposed stores nothing", async () => {
    const { store, sql } = record;
    const { taskId } = await startTask(store);
    await store.requestCancel(taskId, null);
    let appending: ReturnType<typeof store.append> | undefined;
    let deposing: ReturnType<typeof store.deposeAndCancel> | undefined;
    await whileLocked(taskId, async () => {
      const canceled = { ...writeOf(taskId, 1, { head: headOf("canceled") }), self: "b" };
      deposing = store.deposeAndCancel(canceled);
      await waitForLockWaiters(sql, 1);
      appending = store.append([writeOf(taskId, 1)]);
      await waitForLockWaiters(sql, 2);
    });
    expect(await deposing).toMatchObject({ epoch: 3 });
    expect(await appending).toEqual([{ kind: "fenced" }]);
    expect((await store.readEvents(taskId, 0, 10, 1e6)).map(({ epoch }) => epoch)).toEqual([2, 3]);
  });

  it("P5 I1: of two owners that append at once only one gets each generation, in whatever batches", async () => {
    const { store } = record;
    const tasks = await Promise.all(Array.from({ length: 8 }, () => startTask(store)));
    const generations = tasks.map(() => 1);
    const owner = async (name: string, order: number[]) => {
      let committed = 0;
      for (let round = 0; round < 25; round += 1) {
        const writes = order.map((i) =>
          writeOf(tasks[i]?.taskId ?? "", generations[i] ?? 0, { events: [statusEvent(name)] }),
        );
        const outcomes = await store.append(writes);
        for (const [position, outcome] of outcomes.entries()) {
          if (outcome.kind !== "committed") continue;
          const i = order[position] as number;
          generations[i] = (generations[i] ?? 0) + 1;
          committed += 1;
        }
      }
      return committed;
    };
    const forwards = tasks.map((_, i) => i);
    const committed = await Promise.all([
      owner("x", forwards),
      owner("y", forwards.toReversed()),
      owner("z", forwards),
    ]);
    const rows = await Promise.all(tasks.map(({ taskId }) => store.readEvents(taskId, 0, 1000, 1e6)));
    for (const events of rows) {
      expect(events.map(({ generation }) => generation)).toEqual(events.map((_, index) => index + 1));
    }
    expect(rows.flat().length - tasks.length).toBe(committed.reduce((sum, count) => sum + count));
  });
});

describe("sends that meet", () => {
  it("P7: twenty retries of one send at once are one turn", async () => {
    const { store } = record;
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => store.journal(newTurn({ dedupeKey: "twenty" }))),
    );
    const ids = outcomes.map((outcome) => ("turn" in outcome ? outcome.turn.id : outcome.kind));
    expect(new Set(ids).size).toBe(1);
    expect(outcomes.filter(({ kind }) => kind === "inserted")).toHaveLength(1);
  });

  it("P7: twenty retries of one follow-up at once are one turn", async () => {
    const { store } = record;
    const { taskId, turnId } = await startTask(store);
    await store.append([endingWrite(taskId, 1, turnId)]);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => store.journal(newTurn({ taskId, dedupeKey: "follow-up" }))),
    );
    expect(outcomes.filter(({ kind }) => kind === "inserted")).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === "joined")).toHaveLength(19);
  });

  it("twenty follow-ups at once: one is dispatched, the others wait in the order of their numbers", async () => {
    const { store } = record;
    const { taskId, turnId } = await startTask(store);
    await store.append([endingWrite(taskId, 1, turnId)]);
    const turns = await Promise.all(Array.from({ length: 20 }, () => journaled(store, { taskId })));
    expect(turns.filter(({ state }) => state === "dispatched")).toHaveLength(1);
    expect(turns.filter(({ state }) => state === "queued")).toHaveLength(19);
  });

  it("I5: of twenty takers one gets the turn", async () => {
    const { store } = record;
    const turn = await journaled(store, { instance: "b" });
    const taken = await Promise.all(Array.from({ length: 20 }, () => store.takeTurn(turn.id, "b")));
    expect(taken.filter((row) => row !== null)).toHaveLength(1);
  });

  it("I2: a task that loses the race for its id leaves no event and no bound turn behind", async () => {
    const { store } = record;
    const turns = await Promise.all(Array.from({ length: 10 }, () => journaled(store)));
    const outcomes = await Promise.all(
      turns.map((turn) => store.createTask(creationOf(turn, { task: taskNamed("contested") }))),
    );
    expect(outcomes.filter(({ kind }) => kind === "created")).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === "id-taken")).toHaveLength(9);
    const rows = await store.readTurns(turns.map(({ id }) => id));
    expect(rows.filter(({ state }) => state === "bound")).toHaveLength(1);
    expect(rows.filter(({ state }) => state === "dispatched")).toHaveLength(9);
  });
});
