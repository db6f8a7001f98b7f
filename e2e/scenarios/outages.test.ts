/**
 * P3, P11 and I4 when something is away: NATS stopped, started or never there, Postgres restarted, killed or cutting
 * connections off, readers that do not read or that break off in the middle of an event.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { get, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TestNats } from "../../sidecar/test/support/nats.ts";
import { startNats } from "../../sidecar/test/support/nats.ts";
import type { TestDatabase, TestPostgres } from "../../sidecar/test/support/postgres.ts";
import { startPostgres } from "../../sidecar/test/support/postgres.ts";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import { sliceMember } from "../agents/raw/raw-json.ts";
import { migrateDatabase } from "../support/replica.ts";
import type { Call, Envelope, Operation, Told } from "./support/checker-wire.ts";
import { callOf, readEnvelope, readResult, sendParams } from "./support/checker-wire.ts";
import { Checker } from "./support/checker.ts";
import type { Fleet, FleetStart } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import type { LoadOptions, LoadStream } from "./support/load-client.ts";
import { LoadClient, residentMegabytes } from "./support/load-client.ts";
import { planWalk } from "./support/random-walk-plan.ts";
import { playConversations } from "./support/random-walk.ts";
import { startTcpProxy } from "./support/tcp-proxy.ts";

/** A fleet of the raw agent and the clients of these tests. */
interface Site {
  fleet: Fleet;
  client: LoadClient;
  stream(replica: number, text: string, options?: LoadOptions): LoadStream;
  subscribe(replica: number, id: string, options?: LoadOptions): LoadStream;
  call(replica: number, operation: Operation, params: object): Promise<Reply>;
  /** How often each message reached an executor, by its text. */
  starts(text: string): Promise<number>;
  stop(): Promise<void>;
}

interface Reply {
  status: number;
  retryAfter: string | null;
  envelope: Envelope;
  told: Told | null;
}

async function openSite(start: Omit<FleetStart, "agent">): Promise<Site> {
  // Nobody sends any more when a fleet is stopped: no reason to go on listening.
  const fleet = await startFleet({ agent: "raw", ...start, env: { DRAIN_GRACE_MS: "0", ...start.env } });
  const client = new LoadClient();
  const callAt = (replica: number, operation: Operation, params: object): Call =>
    callOf({ base: fleet.url(replica), agent: "raw", dialect: "1.0" }, operation, params);
  return {
    fleet,
    client,
    stream: (replica, text, options = {}) =>
      client.stream(callAt(replica, "stream", sendParams("1.0", { text, messageId: randomUUID() })), {
        expectEvent: expectChunk,
        ...options,
      }),
    subscribe: (replica, id, options = {}) =>
      client.stream(callAt(replica, "subscribe", { id }), { expectEvent: expectChunk, ...options }),
    call: async (replica, operation, params) => {
      const { url, headers, body } = callAt(replica, operation, params);
      const response = await fetch(url, { method: "POST", headers, body });
      const envelope = readEnvelope(await response.text());
      const told = envelope.kind === "result" ? readResult(envelope.result) : null;
      return { status: response.status, retryAfter: response.headers.get("retry-after"), envelope, told };
    },
    starts: async (text) => (await fleet.starts()).filter((start) => start.text === text).length,
    stop: async () => {
      client.close();
      await fleet.stop();
    },
  };
}

/** What the sidecars have complained of. */
function lastWords(site: Site): string {
  return site.fleet.replicas
    .map(({ name, sidecar }) => {
      const lines = sidecar?.process.stdout.split("\n").filter((line) => !line.includes('"level":30')) ?? [];
      return `${name}: ${lines
        .map((line) => line.slice(0, 300))
        .join("\n")
        .slice(-3_000)}`;
    })
    .join("\n");
}

/** Chunk n of a counting task is its event n + 2. */
function expectChunk(generation: number, data: string): string | null {
  if (!data.includes('"artifactUpdate"')) return null;
  return data.includes(`"text":"${generation - 2} "`) ? null : `generation ${generation} is ${data.slice(0, 300)}`;
}

async function taskOf(stream: LoadStream): Promise<string> {
  const { taskId } = readResult(sliceMember(await stream.begun, ["result"]) ?? "{}");
  if (taskId === null) throw new Error("the first event names no task");
  return taskId;
}

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

describe("readers that do not read", () => {
  const STUCK = 40;
  const CHUNKS = 24_000;
  const EVENTS = CHUNKS + 3;
  let site: Site;

  beforeAll(async () => {
    // As in a small container: garbage is collected soon, so what the process keeps is what it needs.
    site = await openSite({ replicas: 2, env: { NODE_OPTIONS: "--max-old-space-size=192" } });
  });
  afterAll(() => site?.stop());

  async function memory(replica: number): Promise<number> {
    const pid = site.fleet.replicas[replica]?.sidecar?.process.pid;
    return residentMegabytes(await readFile(`/proc/${pid}/status`, "utf8"));
  }

  /** Streams a task through one replica and watches it through the other, where the stuck readers are too. */
  async function streamAmong(stuck: number, hold: Promise<unknown>): Promise<{ seconds: number; stuck: LoadStream[] }> {
    const startMs = performance.now();
    const stream = site.stream(0, `blast ${CHUNKS}`);
    const id = await taskOf(stream);
    const held = Array.from({ length: stuck }, () => site.subscribe(1, id, { hold, lastEventId: 1 }));
    const watcher = site.subscribe(1, id, { lastEventId: 1 });
    for (const { faults, lastGeneration } of await Promise.all([stream.done, watcher.done])) {
      expect({ faults, lastGeneration }).toEqual({ faults: [], lastGeneration: EVENTS });
    }
    return { seconds: (performance.now() - startMs) / 1000, stuck: held };
  }

  test("a stuck reader costs no memory, slows nobody down, and gets every event once it reads", {
    timeout: 90_000,
  }, async () => {
    const { promise: reading, resolve: read } = Promise.withResolvers<void>();
    const alone = await streamAmong(0, reading);
    const before = await memory(1);
    const among = await streamAmong(STUCK, reading);
    const after = await memory(1);
    const [some, others] = [among.stuck.slice(0, 4), among.stuck.slice(4)];
    for (const stream of others) stream.destroy();
    read();
    const results = await Promise.all(some.map((stream) => stream.done));

    const numbers = { aloneSeconds: alone.seconds, amongSeconds: among.seconds, before, after };
    console.log(`${STUCK} stuck readers of ${EVENTS} events: ${JSON.stringify(numbers)}`);
    expect(
      results.map(({ faults, firstGeneration, lastGeneration }) => ({ faults, firstGeneration, lastGeneration })),
    ).toEqual(some.map(() => ({ faults: [], firstGeneration: 2, lastGeneration: EVENTS })));
    // Garbage comes and goes. A queue per reader would hold what the sockets do not take, some 220 MB, and end the process.
    expect(after - before, "megabytes more than without stuck readers").toBeLessThan(220);
    expect(among.seconds).toBeLessThan(alone.seconds * 8 + 15);
  });

  test("P3: connections that break in the middle of an event are resumed without loss or repetition", async () => {
    const stream = site.stream(0, "blast 3000");
    const id = await taskOf(stream);
    let cursor = 1;
    let torn = 0;
    for (let n = 0; cursor < 2_000; n += 1) {
      const broken = await readUntilCut(site.fleet.url(n % 2), { id, cursor, bytes: 5_000 + 997 * n });
      torn += broken.torn ? 1 : 0;
      cursor = broken.cursor;
    }
    expect(torn).toBeGreaterThan(5);
    const rest = await site.subscribe(1, id, { lastEventId: cursor }).done;
    expect(rest).toMatchObject({ faults: [], firstGeneration: cursor + 1, lastGeneration: 3_003 });
    expect((await stream.done).faults).toEqual([]);
  });
});

/** Subscribes over a connection that is cut after so many bytes; tells the last whole event and whether one was torn. */
async function readUntilCut(
  base: string,
  { id, cursor, bytes }: { id: string; cursor: number; bytes: number },
): Promise<{ cursor: number; torn: boolean }> {
  const proxy = await startTcpProxy({
    targetPort: Number(new URL(base).port),
    tap: () => {
      let left = bytes;
      return (received, send) => {
        const passed = received.subarray(0, left);
        left -= passed.length;
        send(passed);
        if (left === 0) proxy.end();
      };
    },
  });
  const { url, headers, body } = callOf(
    { base: `http://127.0.0.1:${proxy.port}`, agent: "raw", dialect: "1.0" },
    "subscribe",
    { id },
  );
  try {
    return await new Promise((resolve, reject) => {
      let text = "";
      const sent = request(
        url,
        { method: "POST", headers: { ...headers, "last-event-id": String(cursor) } },
        (response) => {
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response
            .on("error", () => undefined)
            .on("close", () => {
              const whole = text.lastIndexOf("\n\n") + 2;
              const ids = [...text.slice(0, whole).matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
              const wrong = ids.find((generation, n) => generation !== cursor + 1 + n);
              if (wrong === undefined) resolve({ cursor: cursor + ids.length, torn: text.length > whole });
              else reject(new Error(`generation ${wrong} among ${ids.join(" ")}`));
            });
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  } finally {
    await proxy.close();
  }
}
