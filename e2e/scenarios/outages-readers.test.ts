/** P3 and bounded memory with readers that do not read, or that break off in the middle of an event. */
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callOf } from "./support/checker-wire.ts";
import type { LoadStream } from "./support/load-client.ts";
import { residentMegabytes } from "./support/load-client.ts";
import type { Site } from "./support/outage-site.ts";
import { openSite, taskOf } from "./support/outage-site.ts";
import { startTcpProxy } from "./support/tcp-proxy.ts";

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
