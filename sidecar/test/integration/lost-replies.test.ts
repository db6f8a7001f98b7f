/** Connections that are cut while their statement still runs: the server finishes it, after the record was asked what it did. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openDatabase } from "../../src/adapters/postgres/client.ts";
import { openPostgresTaskStore, type PostgresTaskStore } from "../../src/adapters/postgres/task-store.ts";
import { StoreError } from "../../src/ports/task-store.ts";
import { creationOf, journaled, LEASE_MS, startTask } from "../contract/task-store-rows.ts";
import { createDatabase } from "../support/database.ts";
import { FlowCluster, type FlowInstance, sendOf, startInstance } from "../support/flow-instance.ts";
import { type Link, openLink } from "../support/link.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { openTestRecord, type TestRecord, waitForLockWaiters } from "../support/record.ts";
import { resultOf, ScriptedAgent, taskOf } from "../support/scripted-agent.ts";
import { waitFor } from "../support/wait.ts";

let database: TestDatabase;
let record: TestRecord;
let link: Link;
/** Over the link; `record.store` is not. */
let store: PostgresTaskStore;
let agentKey: string;

beforeAll(async () => {
  database = await createDatabase();
  record = await openTestRecord(database.url);
  link = await openLink(Number(new URL(database.url).port));
});

afterAll(async () => {
  await link.close();
  await record.close();
  await database.drop();
});

beforeEach(async () => {
  agentKey = randomUUID();
  const url = new URL(database.url);
  url.port = String(link.port);
  const { prisma } = openDatabase({ url: url.href, poolSize: 5 });
  store = openPostgresTaskStore({ prisma, agent: agentKey, idempotencyWindowSeconds: 3600 });
  await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
});

afterEach(() => store.close());

/**
 * A call whose statement waits for a row that somebody else holds when its connection is cut. `meanwhile` runs while the
 * statement is still under way; then the row is free.
 */
async function cutWhileWaiting(
  held: { table: "task" | "turn"; id: string },
  call: () => Promise<unknown>,
  meanwhile: () => Promise<void>,
): Promise<void> {
  await record.sql.query("begin");
  try {
    await record.sql.query(`select 1 from ${held.table} where agent = $1 and id = $2 for update`, [agentKey, held.id]);
    const lost = call();
    await waitForLockWaiters(record.sql, 1);
    link.cut();
    await lost.catch(() => undefined);
    await meanwhile();
  } finally {
    await record.sql.query("commit");
  }
}

/** The call again until it is on its way: a connection of the pool may be gone without the pool knowing yet. */
async function again<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
  }
}

describe("a statement that goes on after its connection was cut", () => {
  it("P4: that creates a task: the repetition that waited for it has created it", async () => {
    const turn = await journaled(store);
    const creation = creationOf(turn);
    const create = () => store.createTask(creation);
    let repeated: ReturnType<typeof create> | undefined;
    await cutWhileWaiting({ table: "turn", id: turn.id }, create, async () => {
      repeated = again(create);
      await waitForLockWaiters(record.sql, 2);
    });
    expect(await repeated).toEqual({ kind: "created", epoch: 2, promoted: null });
    expect(await store.readEvents(creation.task.taskId, 0, 10, 1e6)).toHaveLength(1);
  });

  it("P4: that ends a turn: the repetition that waited for it has ended it", async () => {
    const turn = await journaled(store);
    const reply = { kind: "message" as const, payload: "{}", headers: {} };
    const end = () => store.endTurn({ turnId: turn.id, state: "done", reply, epoch: 1, instance: "a" });
    let repeated: ReturnType<typeof end> | undefined;
    await cutWhileWaiting({ table: "turn", id: turn.id }, end, async () => {
      repeated = again(end);
      await waitForLockWaiters(record.sql, 2);
    });
    expect(await repeated).toEqual({ kind: "ended", promoted: null });
  });

  it.each([
    ["as long as it claims", 32],
    ["also when it may not claim any more", 0],
  ])("P4: that claims a task: whoever claimed finds it at a later look, %s", async (_, limit) => {
    const { taskId, turnId } = await startTask(store);
    await store.registerInstance({ id: "b", podName: "", podUid: "pod-b" }, LEASE_MS);
    await store.renewInstance("a", -LEASE_MS, false);
    const claim = () => store.claimWork({ self: "b", selfPodUid: "pod-b", from: ["a"], predecessors: [], limit: 32 });
    await cutWhileWaiting({ table: "turn", id: turnId }, claim, async () => {
      expect(await again(claim)).toEqual({ turns: [], tasks: [] });
    });
    await waitFor(
      async () =>
        (await record.sql.query("select 1 from task where agent = $1 and owner = 'b'", [agentKey])).rows.length > 0,
      { message: "the cut claim took nothing" },
    );
    const look = () => store.claimWork({ self: "b", selfPodUid: "pod-b", from: [], predecessors: [], limit });
    expect((await look()).tasks).toMatchObject([{ task: { taskId, owner: "b", epoch: 3 }, turn: { before: "bound" } }]);
    expect(await look()).toEqual({ turns: [], tasks: [] });
  });
});

describe("work for this instance whose taking goes on after its connection was cut", () => {
  let instance: FlowInstance;

  afterEach(() => instance.stop());

  const agent = () =>
    new ScriptedAgent()
      .on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }))
      .on("CancelTask", ({ params }) => resultOf(taskOf(params["id"] as string, "CANCELED")));

  it("P4: a message is run once", async () => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "SendMessage", params: sendOf() });
    const turn = await journaled(store, { self: "b", body, headers: Buffer.from("{}") });
    const scripted = agent();
    instance = await startInstance(new FlowCluster(), scripted, { id: "a", store, recovery: store });
    await cutWhileWaiting(
      { table: "turn", id: turn.id },
      async () => instance.taker.startTurn(turn.id),
      async () => waitForLockWaiters(record.sql, 2),
    );
    await waitFor(async () => (await again(() => store.readTurn(turn.id)))?.state === "done", {
      message: "nobody runs the message",
    });
    expect(scripted.got("SendMessage")).toHaveLength(1);
  });

  it("P4: a cancel is carried out", async () => {
    const { taskId } = await startTask(store);
    await store.requestCancel(taskId, null);
    const scripted = agent();
    instance = await startInstance(new FlowCluster(), scripted, { id: "a", store, recovery: store });
    await cutWhileWaiting(
      { table: "task", id: taskId },
      async () => instance.taker.startCancel(taskId),
      async () => waitForLockWaiters(record.sql, 2),
    );
    await waitFor(async () => (await again(() => store.readTask(taskId)))?.state === "canceled", {
      message: "nobody carries the cancel out",
    });
    expect(scripted.got("CancelTask")).toHaveLength(1);
  });
});
