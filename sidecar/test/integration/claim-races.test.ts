/** Claims that meet other claims, the deposed owner, its renewal and the sweep at one row of a real Postgres. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openDatabase, type Database } from "../../src/adapters/postgres/client.ts";
import { openPostgresTaskStore, type PostgresTaskStore } from "../../src/adapters/postgres/task-store.ts";
import type { ClaimedWork } from "../../src/ports/recovery-store.ts";
import { creationOf, endingWrite, journaled, LEASE_MS, startTask, writeOf } from "../contract/task-store-rows.ts";
import { createDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { lockWaiters, openTestRecord, type TestRecord, waitForLockWaiters } from "../support/record.ts";

const LIMIT = 32;

let database: TestDatabase;
let record: TestRecord;
let pool: Database;
let agentKey: string;
let store: PostgresTaskStore;

beforeAll(async () => {
  database = await createDatabase();
  record = await openTestRecord(database.url);
  pool = openDatabase({ url: database.url, poolSize: 24 });
});

afterAll(async () => {
  await pool.close();
  await record.close();
  await database.drop();
});

/** Each test has an agent of its own, with `a` dead and `b` and `c` alive. */
beforeEach(async () => {
  agentKey = randomUUID();
  store = openPostgresTaskStore({ prisma: pool.prisma, agent: agentKey, idempotencyWindowSeconds: 3600 });
  await store.registerInstance({ id: "a", podName: "", podUid: "pod-a" }, -LEASE_MS);
  await store.registerInstance({ id: "b", podName: "", podUid: "pod-b" }, LEASE_MS);
  await store.registerInstance({ id: "c", podName: "", podUid: "pod-c" }, LEASE_MS);
});

function claim(self: string, limit = LIMIT): Promise<ClaimedWork> {
  return store.claimWork({ self, selfPodUid: `pod-${self}`, from: ["a"], predecessors: [], limit });
}

/** Holds a row while `meet` lines up statements behind it, then lets go; `change` is committed with that. */
async function whileLocked(select: string, id: string, options: { change?: string; meet: () => Promise<void> }) {
  await record.sql.query("begin");
  await record.sql.query(`select 1 from ${select} where agent = $1 and id = $2 for update`, [agentKey, id]);
  try {
    if (options.change !== undefined) await record.sql.query(options.change, [agentKey, id]);
    await options.meet();
  } finally {
    await record.sql.query("commit");
  }
}

describe("when the server's clock has jumped", () => {
  const setBack = (id: string, by: string) =>
    record.sql.query(
      `update instance set lease_until = lease_until + $3::interval, started_at = started_at + $3::interval
       where agent = $1 and id = $2`,
      [agentKey, id, by],
    );

  it("P4: an instance that died before the clock went back may be claimed from at once, not when the clock has caught up", async () => {
    await store.renewInstance("a", LEASE_MS, false);
    const { taskId } = await startTask(store);
    await setBack("a", "1 hour");
    expect(await store.readPulses()).toContainEqual(expect.objectContaining({ id: "a", expired: true }));
    expect(await store.readTask(taskId)).toMatchObject({ ownerAlive: false });
    expect((await claim("b")).tasks).toMatchObject([{ task: { taskId, owner: "b" } }]);
  });

  it("the lease of one that has renewed a moment ago runs", async () => {
    expect(await store.readPulses()).toContainEqual(expect.objectContaining({ id: "b", expired: false }));
    await setBack("b", "1 second");
    expect(await store.readPulses()).toContainEqual(expect.objectContaining({ id: "b", expired: false }));
  });

  it("P4: the process that registered last is the pod's, whatever the clock said when the others did", async () => {
    await store.registerInstance({ id: "former", podName: "", podUid: "pod" }, LEASE_MS);
    await setBack("former", "1 hour");
    await store.registerInstance({ id: "successor", podName: "", podUid: "pod" }, LEASE_MS);
    const turn = await journaled(store, { instance: "former", self: "former" });
    const request = { selfPodUid: "pod", from: [], limit: LIMIT };
    expect(await store.claimWork({ ...request, self: "former", predecessors: ["successor"] })).toMatchObject({
      turns: [],
    });
    const work = await store.claimWork({ ...request, self: "successor", predecessors: ["former"] });
    expect(work.turns).toMatchObject([{ turn: { id: turn.id, instance: "successor" }, samePod: true }]);
    expect(await store.youngestInstance("b")).toBe("successor");
  });
});

describe("claimers that meet", () => {
  it("P4 I5: two at once share the work, and nothing is taken twice or left", async () => {
    const tasks = await Promise.all(Array.from({ length: 40 }, () => startTask(store)));
    const turns = await Promise.all(Array.from({ length: 40 }, () => journaled(store)));
    const taken: string[] = [];
    const shares = { b: 0, c: 0 };
    const claimer = async (self: "b" | "c") => {
      for (let empty = 0; empty < 3; ) {
        const work = await claim(self, 5);
        const ids = [...work.tasks.map(({ task }) => task.taskId), ...work.turns.map(({ turn }) => turn.id)];
        for (const { task } of work.tasks) expect(task).toMatchObject({ owner: self, epoch: 3 });
        for (const { turn } of work.turns) expect(turn).toMatchObject({ instance: self, epoch: 2, attempt: 2 });
        taken.push(...ids);
        shares[self] += ids.length;
        empty = ids.length === 0 ? empty + 1 : 0;
      }
    };
    await Promise.all([claimer("b"), claimer("c")]);
    const all = [...tasks.map(({ taskId }) => taskId), ...turns.map(({ id }) => id)];
    expect(taken.toSorted()).toEqual(all.toSorted());
    expect(shares.b).toBeGreaterThan(0);
    expect(shares.c).toBeGreaterThan(0);
  });

  it("a claimer does not wait for a task that another statement holds: it takes the others", async () => {
    const [held, free] = [await startTask(store), await startTask(store)];
    await whileLocked("task", held.taskId, {
      meet: async () => {
        const work = await claim("b");
        expect(work.tasks.map(({ task }) => task.taskId)).toEqual([free.taskId]);
      },
    });
    expect((await claim("b")).tasks.map(({ task }) => task.taskId)).toEqual([held.taskId]);
  });

  it("of twenty clients' instances that claim one task, one gets it", async () => {
    const { taskId, turnId } = await startTask(store);
    await store.append([endingWrite(taskId, 1, turnId)]);
    const claimers = Array.from({ length: 20 }, (_, n) => ({ self: `claimer-${n}`, selfPodUid: "" }));
    for (const { self } of claimers) await store.registerInstance({ id: self, podName: "", podUid: "" }, LEASE_MS);
    const claimed = await Promise.all(claimers.map((claimer) => store.claimTask(taskId, claimer)));
    expect(claimed.filter((task) => task !== null)).toHaveLength(1);
    expect(await store.readTask(taskId)).toMatchObject({ epoch: 3 });
  });
});

describe("claims that meet the deposed owner", () => {
  it("P5: an append that waits behind the claim is fenced", async () => {
    const { taskId } = await startTask(store);
    let claiming: ReturnType<typeof store.claimTask> | undefined;
    let appending: ReturnType<typeof store.append> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        claiming = store.claimTask(taskId, { self: "b", selfPodUid: "pod-b" });
        await waitForLockWaiters(record.sql, 1);
        appending = store.append([writeOf(taskId, 1)]);
        await waitForLockWaiters(record.sql, 2);
      },
    });
    expect(await claiming).toMatchObject({ task: { owner: "b", epoch: 3, generation: 1 } });
    expect(await appending).toEqual([{ kind: "fenced" }]);
    expect(await store.readEvents(taskId, 1, 10, 1e6)).toEqual([]);
  });

  it("P5: a claim that waits behind an append sees what it recorded", async () => {
    const { taskId } = await startTask(store);
    let claiming: ReturnType<typeof store.claimTask> | undefined;
    let appending: ReturnType<typeof store.append> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        appending = store.append([writeOf(taskId, 1)]);
        await waitForLockWaiters(record.sql, 1);
        claiming = store.claimTask(taskId, { self: "b", selfPodUid: "pod-b" });
        await waitForLockWaiters(record.sql, 2);
      },
    });
    expect(await appending).toMatchObject([{ kind: "committed" }]);
    expect(await claiming).toMatchObject({ task: { owner: "b", epoch: 3, generation: 2 } });
  });

  it("I5: a claim that waits behind the end of a turn does not run that turn again, but the one after it", async () => {
    const { taskId, turnId } = await startTask(store);
    const next = await journaled(store, { taskId });
    let claiming: ReturnType<typeof store.claimTask> | undefined;
    let ending: ReturnType<typeof store.append> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        ending = store.append([endingWrite(taskId, 1, turnId)]);
        await waitForLockWaiters(record.sql, 1);
        claiming = store.claimTask(taskId, { self: "b", selfPodUid: "pod-b" });
        await waitForLockWaiters(record.sql, 2);
      },
    });
    expect(await ending).toMatchObject([{ promoted: next.id }]);
    expect(await claiming).toMatchObject({ turn: { before: "journaled", turn: { id: next.id, attempt: 1 } } });
    expect(await store.readTurn(turnId)).toMatchObject({ state: "done", attempt: 1 });
  });

  it("I5: a turn that its owner took a moment before the claim counts as given to the agent", async () => {
    const { taskId, turnId } = await startTask(store);
    await store.append([endingWrite(taskId, 1, turnId)]);
    await store.renewInstance("a", LEASE_MS, false);
    const turn = await journaled(store, { taskId, instance: "b", self: "b" });
    await store.renewInstance("a", -LEASE_MS, false);
    let claiming: ReturnType<typeof store.claimTask> | undefined;
    let taking: ReturnType<typeof store.takeTurn> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        taking = store.takeTurn(turn.id, "a");
        await waitForLockWaiters(record.sql, 1);
        claiming = store.claimTask(taskId, { self: "b", selfPodUid: "pod-b" });
        await waitForLockWaiters(record.sql, 2);
      },
    });
    expect(await taking).toMatchObject({ state: "dispatched" });
    expect(await claiming).toMatchObject({ turn: { before: "dispatched", turn: { id: turn.id, attempt: 2 } } });
  });

  it("P4: a claim that waits behind a follow-up takes it along", async () => {
    const { taskId, turnId } = await startTask(store);
    await store.append([endingWrite(taskId, 1, turnId)]);
    let claiming: ReturnType<typeof store.claimTask> | undefined;
    let journaling: ReturnType<typeof journaled> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        journaling = journaled(store, { taskId, instance: "c", self: "c" });
        await waitForLockWaiters(record.sql, 1);
        claiming = store.claimTask(taskId, { self: "b", selfPodUid: "pod-b" });
        await waitForLockWaiters(record.sql, 2);
      },
    });
    const turn = await journaling;
    expect(await claiming).toMatchObject({ turn: { before: "journaled", turn: { id: turn?.id, instance: "b" } } });
  });

  it("I2: of the creation of a task and the claim of its turn, one wins", async () => {
    for (let round = 0; round < 20; round += 1) {
      const turn = await journaled(store);
      const [created, work] = await Promise.all([store.createTask(creationOf(turn)), claim("b")]);
      const claimedTurn = work.turns.some((row) => row.turn.id === turn.id);
      expect(created.kind).toBe(claimedTurn ? "deposed" : "created");
      const row = await store.readTurn(turn.id);
      expect(row).toMatchObject(
        claimedTurn ? { taskId: null, state: "dispatched", instance: "b" } : { state: "bound" },
      );
    }
  });

  it("nothing is taken from an owner that renews at the same moment", async () => {
    const { taskId } = await startTask(store);
    const turn = await journaled(store);
    const renewal = `update instance set lease_until = now() + interval '1 minute', lease_ms = ${LEASE_MS}
      where agent = $1 and id = $2`;
    let speaking: ReturnType<typeof store.claimTask> | undefined;
    await whileLocked("instance", "a", {
      change: renewal,
      meet: async () => {
        expect(await claim("b")).toEqual({ turns: [], tasks: [] });
        speaking = store.claimTask(taskId, { self: "b", selfPodUid: "pod-b" });
        await waitForLockWaiters(record.sql, 1);
      },
    });
    expect(await speaking).toBeNull();
    expect(await store.readTask(taskId)).toMatchObject({ owner: "a", epoch: 2 });
    expect(await store.readTurn(turn.id)).toMatchObject({ instance: "a", epoch: 1 });
  });

  it("a renewal that comes during a claim waits for its end", async () => {
    const { taskId } = await startTask(store);
    let claiming: ReturnType<typeof store.claimTask> | undefined;
    let renewing: ReturnType<typeof store.renewInstance> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        claiming = store.claimTask(taskId, { self: "b", selfPodUid: "pod-b" });
        await waitForLockWaiters(record.sql, 1);
        renewing = store.renewInstance("a", LEASE_MS, false);
        await waitForLockWaiters(record.sql, 2);
      },
    });
    expect(await claiming).toMatchObject({ task: { owner: "b" } });
    expect(await renewing).toBe(true);
  });
});

describe("a drain that meets its own last writes", () => {
  it("P8: waits for an append and hands over what it left", async () => {
    const { taskId, turnId } = await startTask(store);
    let releasing: ReturnType<typeof store.releaseWork> | undefined;
    let appending: ReturnType<typeof store.append> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        appending = store.append([writeOf(taskId, 1)]);
        await waitForLockWaiters(record.sql, 1);
        releasing = store.releaseWork("a");
        await waitForLockWaiters(record.sql, 2);
      },
    });
    expect(await appending).toMatchObject([{ kind: "committed" }]);
    expect(await releasing).toEqual({ taskIds: [taskId], turnIds: [turnId] });
    expect(await store.readTask(taskId)).toMatchObject({ owner: "", epoch: 3, generation: 2 });
  });

  it("P8: hands over the turn that became the next one meanwhile", async () => {
    const { taskId, turnId } = await startTask(store);
    const next = await journaled(store, { taskId });
    let releasing: ReturnType<typeof store.releaseWork> | undefined;
    let ending: ReturnType<typeof store.append> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        ending = store.append([endingWrite(taskId, 1, turnId)]);
        await waitForLockWaiters(record.sql, 1);
        releasing = store.releaseWork("a");
        await waitForLockWaiters(record.sql, 2);
      },
    });
    expect(await ending).toMatchObject([{ promoted: next.id }]);
    expect(await releasing).toEqual({ taskIds: [taskId], turnIds: [next.id] });
    expect(await store.readTurn(next.id)).toMatchObject({ state: "journaled", handovers: 0, epoch: 3 });
  });

  it("P8: hands over the message that was dispatched meanwhile", async () => {
    await store.renewInstance("a", LEASE_MS, false);
    const { taskId, turnId } = await startTask(store);
    await store.append([endingWrite(taskId, 1, turnId, "working")]);
    let releasing: ReturnType<typeof store.releaseWork> | undefined;
    let journaling: ReturnType<typeof journaled> | undefined;
    await whileLocked("task", taskId, {
      meet: async () => {
        journaling = journaled(store, { taskId });
        await waitForLockWaiters(record.sql, 1);
        releasing = store.releaseWork("a");
        await waitForLockWaiters(record.sql, 2);
      },
    });
    const turn = await journaling;
    expect(turn?.state).toBe("dispatched");
    expect(await releasing).toEqual({ taskIds: [taskId], turnIds: [turn?.id] });
    expect(await store.readTurn(turn?.id ?? "")).toMatchObject({ instance: "", handovers: 1 });
  });

  it("P8: hands over the task that its message has become meanwhile", async () => {
    const turn = await journaled(store);
    const creation = creationOf(turn);
    let releasing: ReturnType<typeof store.releaseWork> | undefined;
    let creating: ReturnType<typeof store.createTask> | undefined;
    await whileLocked("turn", turn.id, {
      meet: async () => {
        creating = store.createTask(creation);
        await waitForLockWaiters(record.sql, 1);
        releasing = store.releaseWork("a");
        await waitForLockWaiters(record.sql, 2);
      },
    });
    expect(await creating).toMatchObject({ kind: "created" });
    const { taskId } = creation.task;
    expect(await releasing).toEqual({ taskIds: [taskId], turnIds: [turn.id] });
    expect(await store.readTask(taskId)).toMatchObject({ owner: "", epoch: 3 });
    expect(await store.readTurn(turn.id)).toMatchObject({ state: "bound", instance: "", handovers: 1 });
  });

  it("claims and releases of many tasks at once leave each with one holder, and nobody waits in a circle", async () => {
    const tasks = await Promise.all(Array.from({ length: 20 }, () => startTask(store)));
    const rounds = (self: string) =>
      Array.from({ length: 10 }, async () => {
        await store.claimWork({ self, selfPodUid: `pod-${self}`, from: ["a"], predecessors: [], limit: 7 });
        await store.releaseWork(self);
      });
    const appends = Array.from({ length: 10 }, () => store.append(tasks.map(({ taskId }) => writeOf(taskId, 1))));
    await Promise.all([...rounds("b"), ...rounds("c"), ...appends]);
    await store.releaseWork("b");
    await store.releaseWork("c");
    const work = await claim("b", 100);
    expect(work.tasks).toHaveLength(20);
    for (const { task, turn } of work.tasks) expect(turn?.turn).toMatchObject({ instance: "b", epoch: task.epoch });
    expect(await lockWaiters(record.sql)).toEqual([]);
  });
});

describe("the sweep beside the living", () => {
  it("leaves a finished task that somebody is at, and takes it the next time", async () => {
    const { taskId, turnId } = await startTask(store);
    await store.append([endingWrite(taskId, 1, turnId, "completed")]);
    await whileLocked("task", taskId, {
      meet: async () => expect(await store.sweep(-10, 10)).toMatchObject({ tasks: 0 }),
    });
    expect(await store.sweep(-10, 10)).toMatchObject({ tasks: 1 });
    const left = await record.sql.query(
      `select (select count(*) from task_event where agent = $1)::int as events,
              (select count(*) from turn where agent = $1)::int as turns`,
      [agentKey],
    );
    expect(left.rows).toEqual([{ events: 0, turns: 0 }]);
  });

  it("two sweeps at once share the work", async () => {
    for (let n = 0; n < 12; n += 1) {
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId, "failed")]);
    }
    const swept = await Promise.all([1, 2, 3, 4].map(() => store.sweep(-10, 100)));
    expect(swept.reduce((sum, { tasks }) => sum + tasks, 0)).toBe(12);
    expect(await store.countTasks()).toEqual([]);
  });

  it("bounds the rows of one statement, but takes a task that alone is larger", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) {
      const { taskId, turnId } = await startTask(store);
      await store.append([endingWrite(taskId, 1, turnId, "completed")]);
      ids.push(taskId);
    }
    await record.sql.query("update task set generation = 60000 where agent = $1", [agentKey]);
    const steps = [await store.sweep(-10, 10), await store.sweep(-10, 10), await store.sweep(-10, 10)];
    expect(steps.map(({ tasks }) => tasks)).toEqual([1, 1, 1]);
    expect(await store.readPositions(ids)).toEqual([]);
  });

  it("deliveries leave with their task", async () => {
    const { taskId, turnId } = await startTask(store);
    await store.append([endingWrite(taskId, 1, turnId, "completed")]);
    const insert = "insert into push_delivery (agent, task_id, generation, config_id) values ($1, $2, 1, 'c')";
    await record.sql.query(insert, [agentKey, taskId]);
    await store.sweep(-10, 10);
    const { rows } = await record.sql.query("select 1 from push_delivery where agent = $1", [agentKey]);
    expect(rows).toEqual([]);
  });
});

describe("a claim whose reply was lost", () => {
  it("P4: is read back by the next claim, so that its work is not held by nobody", async () => {
    const { taskId } = await startTask(store);
    const turn = await journaled(store);
    const failing = openPostgresTaskStore({
      prisma: failingOnce(pool.prisma, "$queryRaw", 2),
      agent: agentKey,
      idempotencyWindowSeconds: 3600,
    });
    const request = { self: "b", selfPodUid: "pod-b", from: ["a"], predecessors: [], limit: LIMIT };
    await expect(failing.claimWork(request)).rejects.toMatchObject({ name: "StoreError" });
    expect(await store.readTask(taskId)).toMatchObject({ owner: "b" });
    const work = await failing.claimWork(request);
    expect(work.tasks).toMatchObject([{ task: { taskId }, turn: { before: "bound" } }]);
    expect(work.turns).toMatchObject([{ turn: { id: turn.id }, before: "dispatched" }]);
    expect(await failing.claimWork(request)).toEqual({ turns: [], tasks: [] });
  });

  /** The n-th call of a method runs, and its reply is lost. */
  function failingOnce<P extends object>(prisma: P, method: string, nth: number): P {
    let calls = 0;
    return new Proxy(prisma, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (name !== method) return value.bind(target);
        return async (...args: unknown[]) => {
          calls += 1;
          const result: unknown = await value.apply(target, args);
          if (calls === nth) throw new Error("Connection terminated unexpectedly");
          return result;
        };
      },
    });
  }
});
