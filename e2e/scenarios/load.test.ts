/**
 * P2, P3, I1 and the linear record under load: a thousand streams at once over three replicas, and one task of ten
 * thousand events. What was measured is printed.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sliceMember } from "../agents/raw/raw-json.ts";
import type { Call, Operation } from "./support/checker-wire.ts";
import { callOf, readResult, sendParams } from "./support/checker-wire.ts";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import type { LoadOptions, LoadResult, LoadStream } from "./support/load-client.ts";
import { LoadClient, RefusedError, residentMegabytes } from "./support/load-client.ts";

const STREAMS = 1_000;
/** A Task, a status, the chunks, a last status. */
const CHUNKS = 97;
const EVENTS = CHUNKS + 3;

let fleet: Fleet;
let pool: pg.Pool;
let client: LoadClient;
/** Calls answered with 503 under overload. */
let turnedAway = 0;

beforeAll(async () => {
  fleet = await startFleet({ agent: "raw", replicas: 3, env: { DRAIN_GRACE_MS: "0" } });
  pool = new pg.Pool({ connectionString: fleet.databaseUrl, max: 2 });
  client = new LoadClient();
});

afterAll(async () => {
  client?.close();
  await pool?.end();
  await fleet?.stop();
});

function call(replica: number, operation: Operation, params: object): Call {
  return callOf({ base: fleet.url(replica % 3), agent: "raw", dialect: "1.0" }, operation, params);
}

function say(replica: number, text: string): LoadStream {
  const params = sendParams("1.0", { text, messageId: randomUUID() });
  return client.stream(call(replica, "stream", params), { expectEvent: expectChunk });
}

/** Calls until there is a stream, as a client does that is told to come again (503). */
async function insist(made: Call, options: LoadOptions = {}): Promise<LoadStream> {
  for (;;) {
    const stream = client.stream(made, { expectEvent: expectChunk, ...options });
    const refused = await stream.begun.then(
      () => null,
      (error: unknown) => error,
    );
    if (!(refused instanceof RefusedError) || refused.status !== 503) return stream;
    turnedAway += 1;
    await sleep(1_000);
  }
}

/** Chunk n of a counting task is its event n + 2. */
function expectChunk(generation: number, data: string): string | null {
  if (!data.includes('"artifactUpdate"')) return null;
  return data.includes(`"text":"${generation - 2} "`) ? null : `generation ${generation} is ${data.slice(0, 300)}`;
}

async function watchElsewhere(replica: number, id: string): Promise<LoadResult> {
  return (await insist(call(replica + 1, "subscribe", { id }), { lastEventId: 1 })).done;
}

async function taskOf(stream: LoadStream): Promise<string> {
  const { taskId } = readResult(sliceMember(await stream.begun, ["result"]) ?? "{}");
  if (taskId === null) throw new Error("the first event names no task");
  return taskId;
}

async function replicaMemory(): Promise<number[]> {
  return Promise.all(
    fleet.replicas.map(async ({ sidecar }) =>
      residentMegabytes(await readFile(`/proc/${sidecar?.process.pid}/status`, "utf8")),
    ),
  );
}

describe("a thousand streams of a hundred events over three replicas", () => {
  test("P3, I1: nothing is lost, repeated or out of order, also not for the half that is watched elsewhere", {
    timeout: 120_000,
  }, async () => {
    const startMs = performance.now();
    const runs = await Promise.all(
      Array.from({ length: STREAMS }, async (_, n) => {
        const params = sendParams("1.0", { text: `count ${CHUNKS} every 50ms`, messageId: randomUUID() });
        const stream = await insist(call(n, "stream", params));
        const watched = n % 2 === 0 ? await watchElsewhere(n, await taskOf(stream)) : null;
        return { result: await stream.done, watched };
      }),
    );
    const results = runs.map((run) => run.result);
    const watchers = runs.flatMap((run) => run.watched ?? []);
    const seconds = (performance.now() - startMs) / 1000;

    expect([...results, ...watchers].flatMap((result) => result.faults)).toEqual([]);
    expect(results.filter((result) => result.firstGeneration !== 1 || result.events !== EVENTS)).toEqual([]);
    expect(watchers.length).toBe(STREAMS / 2);
    expect(watchers.filter((result) => result.firstGeneration !== 2 || result.events !== EVENTS - 1)).toEqual([]);
    const { rows } = await pool.query(
      `select count(*)::int as tasks, sum(n)::int as events, count(*) filter (where n <> $1 or top <> $1)::int as wrong
       from (select count(*) as n, max(generation) as top from task_event group by agent, task_id) as counted`,
      [EVENTS],
    );
    expect(rows).toEqual([{ tasks: STREAMS, events: STREAMS * EVENTS, wrong: 0 }]);
    const watched = watchers.reduce((sum, result) => sum + result.events, 0);
    report("1 000 streams", {
      seconds: round(seconds),
      recordedPerSecond: Math.round((STREAMS * EVENTS) / seconds),
      shownPerSecond: Math.round((STREAMS * EVENTS + watched) / seconds),
      turnedAway,
      sidecarMegabytes: await replicaMemory(),
    });
    expect((await fleet.starts()).length, "P4: every message is run once, however often it was sent").toBe(STREAMS);
  });
});

describe("a task of ten thousand events", () => {
  test("P1, P3: streamed on one replica, watched on another, replayed and read on every one", {
    timeout: 60_000,
  }, async () => {
    const small = await measureTask(1_000);
    const large = await measureTask(10_000);

    expect(large.stream.faults).toEqual([]);
    expect(large.watcher.faults).toEqual([]);
    expect(large.stream).toMatchObject({ firstGeneration: 1, lastGeneration: 10_003 });
    expect(large.watcher.lastGeneration).toBe(10_003);
    const texts = await Promise.all([0, 1, 2].map((replica) => readParts(replica, large.taskId)));
    expect(texts.every((parts) => parts.length === 10_000 && parts.every((text, n) => text === `${n + 1} `))).toBe(
      true,
    );
    for (const [replica, cursor] of [
      [0, 0],
      [1, 1],
      [2, 5_000],
      [0, 10_002],
      [1, 10_003],
    ] as const) {
      const replay = await client.stream(call(replica, "subscribe", { id: large.taskId }), {
        lastEventId: cursor,
        expectEvent: expectChunk,
      }).done;
      expect(replay.faults).toEqual([]);
      expect(replay.events, `after ${cursor}`).toBe(10_003 - cursor);
      if (cursor < 10_003) expect(replay.firstGeneration).toBe(cursor + 1);
    }
    const growth = { stored: large.storedBytes / small.storedBytes, written: large.walBytes / small.walBytes };
    report("10 000 events", {
      seconds: round(large.seconds),
      perSecond: Math.round(10_003 / large.seconds),
      storedKilobytes: Math.round(large.storedBytes / 1024),
      storedGrowth: round(growth.stored),
      walKilobytes: Math.round(large.walBytes / 1024),
      walGrowth: round(growth.written),
      sidecarMegabytes: await replicaMemory(),
    });
    expect(growth.stored, "the record is linear").toBeLessThanOrEqual(11);
    expect(growth.written, "writing is linear").toBeLessThanOrEqual(11);
  });
});

interface Measured {
  taskId: string;
  stream: LoadResult;
  watcher: LoadResult;
  seconds: number;
  /** The task's rows, as they are stored. */
  storedBytes: number;
  /** All that was written on the way, also what has been written over since. */
  walBytes: number;
}

async function measureTask(chunks: number): Promise<Measured> {
  const walBefore = await writtenBytes();
  const startMs = performance.now();
  const stream = say(0, `blast ${chunks}`);
  const taskId = await taskOf(stream);
  const watching = client.stream(call(1, "subscribe", { id: taskId }), { lastEventId: 1, expectEvent: expectChunk });
  const [streamed, watched] = await Promise.all([stream.done, watching.done]);
  const seconds = (performance.now() - startMs) / 1000;
  const walBytes = (await writtenBytes()) - walBefore;
  return { taskId, stream: streamed, watcher: watched, seconds, storedBytes: await storedBytes(taskId), walBytes };
}

async function writtenBytes(): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(
    "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as bytes",
  );
  return rows[0]?.bytes ?? 0;
}

async function storedBytes(taskId: string): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(
    `select ((select sum(pg_column_size(e.*)) from task_event e where e.task_id = $1)
           + (select pg_column_size(t.*) + pg_column_size(t.snapshot) from task t where t.id = $1))::float8 as bytes`,
    [taskId],
  );
  return rows[0]?.bytes ?? 0;
}

async function readParts(replica: number, id: string): Promise<string[]> {
  const { url, headers, body } = call(replica, "get", { id });
  const { result } = (await (await fetch(url, { method: "POST", headers, body })).json()) as {
    result: { artifacts: { parts: { text: string }[] }[] };
  };
  return result.artifacts.flatMap((artifact) => artifact.parts.map((part) => part.text));
}

function report(what: string, numbers: object): void {
  console.log(`${what}: ${JSON.stringify(numbers)}`);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
