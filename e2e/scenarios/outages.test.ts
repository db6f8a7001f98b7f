/**
 * P3, P11 and I4 when something is away: NATS stopped, started or never there, Postgres restarted, killed or cutting
 * connections off.
 */
import { randomUUID } from "node:crypto";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TestNats } from "../../sidecar/test/support/nats.ts";
import { startNats } from "../../sidecar/test/support/nats.ts";
import type { TestDatabase, TestPostgres } from "../../sidecar/test/support/postgres.ts";
import { startPostgres } from "../../sidecar/test/support/postgres.ts";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import { migrateDatabase } from "../support/replica.ts";
import { sendParams } from "./support/checker-wire.ts";
import { Checker } from "./support/checker.ts";
import type { Site } from "./support/outage-site.ts";
import { lastWords, openSite, taskOf } from "./support/outage-site.ts";
import { planWalk } from "./support/random-walk-plan.ts";
import { playConversations } from "./support/random-walk.ts";

async function generationOf(site: Site, replica: number, id: string): Promise<number> {
  const { envelope } = await site.call(replica, "get", { id });
  if (envelope.kind !== "result") throw new Error(JSON.stringify(envelope));
  const task = JSON.parse(envelope.result) as { artifacts?: { parts: unknown[] }[] };
  return 2 + (task.artifacts?.[0]?.parts.length ?? 0);
}

/** Cancels through another replica and waits until the executor has been told. */
async function cancelElsewhere(site: Site): Promise<number> {
  const waiting = site.stream(0, "wait-cancel");
  const id = await taskOf(waiting);
  const startMs = performance.now();
  const { told } = await site.call(1, "cancel", { id });
  const tookMs = performance.now() - startMs;
  expect(told?.state).toBe("canceled");
  expect((await site.fleet.cancels()).map((cancel) => cancel.taskId)).toContain(id);
  expect((await waiting.done).faults).toEqual([]);
  return Math.round(tookMs);
}

/** Answers a question through another replica than the one that asked. */
async function answerElsewhere(site: Site): Promise<number> {
  const asking = site.stream(0, "ask");
  const taskId = await taskOf(asking);
  await asking.done;
  const startMs = performance.now();
  const { told } = await site.call(1, "send", sendParams("1.0", { text: "blue", messageId: randomUUID(), taskId }));
  const tookMs = performance.now() - startMs;
  expect(told).toMatchObject({ taskId, state: "completed" });
  return Math.round(tookMs);
}

describe("NATS stopped and started again", () => {
  let nats: TestNats;
  let site: Site;

  beforeAll(async () => {
    nats = await startNats();
    site = await openSite({ replicas: 3, natsUrl: nats.url });
  });
  afterAll(async () => {
    await site?.stop();
    await nats?.close();
  });

  test("P3, P11: streams and subscribers on other replicas go on without it and end as if nothing had been", async () => {
    const stream = site.stream(0, "count 120 every 20ms");
    const id = await taskOf(stream);
    const watchers = [site.subscribe(1, id), site.subscribe(2, id)];
    await Promise.all(watchers.map((watcher) => watcher.begun));
    await nats.stop();

    const cancelMs = await cancelElsewhere(site);
    const answerMs = await answerElsewhere(site);
    expect(await generationOf(site, 2, id), "the stream has gone on meanwhile").toBeGreaterThan(3);
    await nats.restart();
    for (const { faults, lastGeneration } of await Promise.all([
      stream.done,
      ...watchers.map((watcher) => watcher.done),
    ])) {
      expect({ faults, lastGeneration }).toEqual({ faults: [], lastGeneration: 123 });
    }
    await waitFor(() => relayIsUp(site), { deadlineMs: 5_000, message: "every sidecar is connected to NATS again" });
    console.log(
      `NATS away: ${JSON.stringify({ cancelMs, answerMs })}, back: ${JSON.stringify(await bothElsewhere(site))}`,
    );
  });
});

async function bothElsewhere(site: Site): Promise<{ cancelMs: number; answerMs: number }> {
  return { cancelMs: await cancelElsewhere(site), answerMs: await answerElsewhere(site) };
}

async function relayIsUp(site: Site): Promise<boolean> {
  const pages = await Promise.all(site.fleet.replicas.map(({ sidecar }) => fetchText(`${sidecar?.adminUrl}/metrics`)));
  return pages.every((page) => /relay_connected\S* 1/.test(page));
}

function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      let text = "";
      response
        .setEncoding("utf8")
        .on("data", (chunk: string) => (text += chunk))
        .on("end", () => resolve(text));
    }).on("error", reject);
  });
}

describe("no NATS at all", () => {
  let site: Site;
  let pool: pg.Pool;

  beforeAll(async () => {
    site = await openSite({ replicas: 2, natsUrl: null });
    pool = new pg.Pool({ connectionString: site.fleet.databaseUrl, max: 4 });
  });
  afterAll(async () => {
    await pool?.end();
    await site?.stop();
  });

  test("P11: cancels and answers reach the owner by polling", async () => {
    console.log(`no NATS: ${JSON.stringify(await bothElsewhere(site))}`);
  });

  test("P1, P2, P3, P6, P11: a round of random clients sees one history", async () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
    const checker = new Checker(pool, site.fleet.agentKey, "1.0");
    const { conversations } = planWalk(seed, { agent: "raw", replicas: 2, conversations: 16 });
    await playConversations({ fleet: site.fleet, agent: "raw", dialect: "1.0", checker }, conversations);
    await checker.verifyRecord();
    expect(checker.violations, `SEED=${seed}`).toEqual([]);
  });
});

describe("Postgres away", () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let site: Site;

  beforeAll(async () => {
    postgres = await startPostgres();
    database = await postgres.createDatabase();
    await migrateDatabase(database.url);
    // The outage is to outlast the lease: nobody may take that for the death of an instance.
    site = await openSite({ replicas: 2, databaseUrl: database.url, env: { LEASE_MS: "2000" } });
  });
  afterAll(async () => {
    await site?.stop();
    await postgres?.close();
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.log(lastWords(site))));

  async function expectNothingLeft(): Promise<void> {
    const pool = new pg.Pool({ connectionString: database.url, max: 1 });
    const left = async () =>
      (await pool.query("select id, state, task_id, attempt from turn where state not in ('done', 'failed')")).rows;
    try {
      await waitFor(async () => (await left()).length === 0, { message: "no turn is left in flight" });
    } catch (error) {
      throw new Error(`turns left: ${JSON.stringify(await left())}`, { cause: error });
    } finally {
      await pool.end();
    }
  }

  test("P11: streams stall and go on, new sends get a retryable error, nothing is run twice", async () => {
    const text = "count 150 every 20ms";
    const stream = site.stream(0, text);
    const id = await taskOf(stream);
    const watcher = site.subscribe(1, id);
    await watcher.begun;
    await postgres.stop();
    const refused = await site.call(1, "send", sendParams("1.0", { text: "echo refused", messageId: randomUUID() }));
    await sleep(1_000);
    const held = site.call(0, "send", sendParams("1.0", { text: "count 2", messageId: randomUUID() }));
    await postgres.start();

    expect(refused).toMatchObject({ status: 503, envelope: { kind: "error", code: -32603 } });
    expect(Number(refused.retryAfter)).toBeGreaterThan(0);
    for (const { faults, lastGeneration } of await Promise.all([stream.done, watcher.done])) {
      expect({ faults, lastGeneration }).toEqual({ faults: [], lastGeneration: 153 });
    }
    const late = await held;
    if (late.status !== 503) expect(late.told?.state).toBe("completed");
    expect(await site.starts(text)).toBe(1);
    expect(await site.starts("echo refused"), "what was refused is not run later").toBe(0);
    await expectNothingLeft();
  });

  test("P3, P11: connections cut off again and again under load lose, repeat and re-run nothing", {
    timeout: 60_000,
  }, async () => {
    const text = "count 60 every 20ms and again";
    const streams = Array.from({ length: 60 }, (_, n) => site.stream(n % 2, text));
    const watchers = await Promise.all(
      streams
        .slice(0, 20)
        .map(async (stream, n) => site.subscribe((n + 1) % 2, await taskOf(stream), { lastEventId: 1 })),
    );
    let cut = 0;
    for (let n = 0; n < 5; n += 1) {
      cut += await postgres.disconnectClients(database.name);
      await sleep(150);
    }
    const results = await Promise.all([...streams, ...watchers].map((stream) => stream.done));
    expect(results.flatMap((result) => result.faults)).toEqual([]);
    expect(new Set(results.map((result) => result.lastGeneration))).toEqual(new Set([63]));
    expect(cut).toBeGreaterThan(5);
    expect(await site.starts(text)).toBe(60);
    await expectNothingLeft();
  });

  test("P2, P3, P11: a crash of the server under load loses nothing that was shown and runs nothing twice", {
    timeout: 60_000,
  }, async () => {
    const text = "count 60 every 20ms through a crash";
    const streams = Array.from({ length: 40 }, (_, n) => site.stream(n % 2, text));
    await Promise.all(streams.map((stream) => stream.begun));
    await postgres.crash();
    await postgres.start();
    const results = await Promise.all(streams.map((stream) => stream.done));
    expect(results.flatMap((result) => result.faults)).toEqual([]);
    expect(new Set(results.map((result) => result.lastGeneration))).toEqual(new Set([63]));
    expect(await site.starts(text)).toBe(40);
    await expectNothingLeft();
  });
});
