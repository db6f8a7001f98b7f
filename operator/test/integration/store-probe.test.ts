import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPostgres, type TestDatabase, type TestPostgres } from "durable-agent-sidecar/test-support/postgres";
import { freePort } from "durable-agent-sidecar/test-support/wait";
import { createStoreProbe } from "../../src/adapters/postgres/store-probe.ts";
import type { StoreProbe } from "../../src/ports/probes.ts";

describe("a look at a database", () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let probe: StoreProbe;

  beforeAll(async () => {
    postgres = await startPostgres();
    database = await postgres.createDatabase();
    probe = createStoreProbe(() => undefined, 500);
  });
  afterAll(async () => {
    await probe?.close();
    await postgres?.close();
  });

  const query = async (text: string): Promise<void> => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  };

  test("brings it to the schema first, from several sides at once, and counts each agent's tasks", async () => {
    const looks = await Promise.all([probe, createStoreProbe(() => undefined)].map((each) => each.inspect(database)));
    expect(looks).toEqual([
      { kind: "ready", counts: new Map() },
      { kind: "ready", counts: new Map() },
    ]);
    await query(`
      insert into task (agent, tenant, id, context_id, caller, dialect, state, generation, owner, epoch, attempt,
                        agent_task_id, agent_context_id, created_at, finished_at)
      select 'c/n/a', '', 'task-' || state, 'context', '', '1.0', state, 1, 'owner', 1, 1, 'task-' || state, 'context',
             '2026-01-02T03:04:05.678Z', case when state = 'completed' then now() end
      from unnest(array['submitted', 'working', 'input-required', 'completed']) as state`);
    const counts = { working: 2, interrupted: 1, finished: 1, oldestWorking: "2026-01-02T03:04:05Z" };
    expect(await probe.inspect(database)).toEqual({ kind: "ready", counts: new Map([["c/n/a", counts]]) });
  });

  test("that holds too many tasks to count them in time finds it ready all the same", async () => {
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await other.query("begin");
    await other.query("lock table task in access exclusive mode");
    try {
      expect(await probe.inspect(database)).toEqual({ kind: "ready", counts: undefined });
    } finally {
      await other.query("rollback");
      await other.end();
    }
  });

  test("that is not there says so", async () => {
    const url = `postgres://postgres@127.0.0.1:${await freePort()}/postgres`;
    expect(await probe.inspect({ url })).toMatchObject({ kind: "unreachable" });
  });

  test("whose user may not create tables says so", async () => {
    const empty = await postgres.createDatabase();
    await query("create role stranger login");
    const url = empty.url.replace("postgres@", "stranger@");
    expect(await probe.inspect({ url })).toMatchObject({
      kind: "migrationFailed",
      message: expect.stringContaining("permission denied") as string,
    });
  });
});
