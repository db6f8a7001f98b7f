/** P5, P11, I7: an owner that was away, or that only seems to be, does no harm. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import type { FakeClock } from "./support/fake-clock.ts";
import { openFakeClock } from "./support/fake-clock.ts";
import type { OwnPostgres } from "./support/own-services.ts";
import { startOwnPostgres } from "./support/own-services.ts";
import { foldedText, taskIdOf } from "./support/persistent-client.ts";
import type { Pod, PodPart } from "./support/pods.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import { JS_03, JS_1, RAW_1 } from "./support/subject.ts";

function countedTo(last: number): string {
  return Array.from({ length: last }, (_, n) => `${n + 1} `).join("");
}

function podOf(stage: Stage, n: number): Pod {
  const found = stage.fleet.pods[n];
  if (found === undefined) throw new Error(`there is no pod ${n}`);
  return found;
}

describe.each([JS_1, JS_03])("the owner of a $name agent's task is paused", (subject) => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ subject });
  });
  afterEach(() => stage.settle());
  afterAll(() => stage.close());

  test.each<PodPart>(["sidecar", "pod"])(
    "P5, I7: the %s, for three leases: it records and shows nothing of its own any more, and its run is cancelled",
    async (part) => {
      const { fleet, leaseMs } = stage;
      let taskId = "";
      const paused = Promise.withResolvers<void>();
      // Stays connected to the paused instance for as long as that keeps the connection.
      const direct = { ...stage.site(), urls: () => [podOf(stage, 0).url], idleMs: 20_000 };
      const sender = stage.clientAt(direct, "sender").stream("count 160 every 40ms", {
        onEvent: (event) => {
          taskId = taskIdOf(event);
          if (event.generation !== 8) return;
          void fleet.pods[0]?.signal(part, "SIGSTOP").then(() => paused.resolve());
        },
      });
      await paused.promise;
      const follower = stage.client("follower").follow(taskId, { pod: 1 });
      await sleep(3 * leaseMs);
      expect(await stage.ownerOf(taskId), "somebody else has taken over").not.toBe(0);
      await podOf(stage, 0).signal(part, "SIGCONT");
      const [sent, followed] = await Promise.all([sender, follower]);
      expect(sent.state).toBe("completed");
      expect(foldedText(sent.events)).toBe(countedTo(160));
      expect(foldedText(followed.events)).toBe(countedTo(160));
      expect(await stage.startsOf(sent.messageId)).toBe(2);
      const canceled = async () => (await fleet.cancels()).some((cancel) => cancel.replica === 0);
      await waitFor(canceled, { message: "the deposed run was not cancelled at its agent" });
    },
  );

  test("P5: before anything of its turn was recorded: its late answer counts for nothing", async () => {
    const messageId = randomUUID();
    const call = stage.client("caller").send("silent 6000", { messageId });
    await stage.started(messageId);
    await podOf(stage, 0).signal("sidecar", "SIGSTOP");
    await waitFor(async () => (await stage.startsOf(messageId)) === 2, { message: "the turn was not taken over" });
    await sleep(2 * stage.leaseMs);
    await podOf(stage, 0).signal("sidecar", "SIGCONT");
    expect(await call).toMatchObject({ status: 200 });
    const { rows } = await stage.pool.query("select id, attempt from task where agent = $1", [stage.fleet.agentKey]);
    expect(rows).toEqual([{ id: expect.any(String), attempt: 2 }]);
  });

  test("P4: for less than a lease: nobody notices and nothing is run again", async () => {
    const sent = await stage.client("sender").stream("count 40 every 30ms", {
      onEvent: (event) => {
        if (event.generation !== 5) return;
        void podOf(stage, 0).signal("sidecar", "SIGSTOP");
        setTimeout(() => void podOf(stage, 0).signal("sidecar", "SIGCONT"), stage.leaseMs * 0.6);
      },
    });
    expect(foldedText(sent.events)).toBe(countedTo(40));
    expect(await stage.startsOf(sent.messageId)).toBe(1);
  });
});

describe("Postgres is away for longer than a lease", () => {
  let postgres: OwnPostgres;
  let stage: Stage;

  beforeAll(async () => {
    postgres = await startOwnPostgres();
    stage = await openStage({ subject: RAW_1, databaseUrl: postgres.databaseUrl, leaseMs: 1_000 });
  });
  afterEach(() => stage.settle());
  afterAll(async () => {
    await stage?.close();
    await postgres?.close();
  });

  test.each(["stop", "crash"] as const)("P11: by a %s: streams stall and go on, nothing is run again", async (how) => {
    const awayMs = 2.5 * stage.leaseMs;
    let outage = null as Promise<void> | null;
    const take = async () => {
      await postgres[how]();
      await sleep(awayMs);
      await postgres.start();
    };
    const ids = Array.from({ length: 12 }, () => randomUUID());
    const outcomes = await Promise.all(
      ids.map((messageId, n) =>
        stage.client(`sender ${n}`).stream("count 100 every 20ms", {
          messageId,
          pod: n % 3,
          onEvent: (event) => {
            if (event.generation === 12) outage ??= take();
          },
        }),
      ),
    );
    await outage;
    for (const outcome of outcomes) {
      expect(outcome.state).toBe("completed");
      expect(foldedText(outcome.events)).toBe(countedTo(100));
    }
    for (const id of ids) expect(await stage.startsOf(id)).toBe(1);
  });

  test("P11: a send meanwhile is refused with a retryable error, and its repetition is accepted", async () => {
    await postgres.stop();
    const messageId = randomUUID();
    const call = stage.call("send", "slow 1", { messageId });
    const refused = await fetch(call.url, { method: "POST", headers: call.headers, body: call.body });
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ jsonrpc: "2.0", error: { code: -32603 } });
    await postgres.start();
    const accepted = await stage.client("caller").send("slow 1", { messageId });
    expect(accepted.status).toBe(200);
    expect(await stage.startsOf(messageId)).toBe(1);
  });
});

describe("a clock jumps", () => {
  let clock: FakeClock;
  let postgres: OwnPostgres;
  let stage: Stage;

  beforeAll(async () => {
    clock = await openFakeClock();
    postgres = await startOwnPostgres({ program: (program) => clock.wrap(program) });
    stage = await openStage({
      subject: RAW_1,
      databaseUrl: postgres.databaseUrl,
      leaseMs: 1_000,
      servicesOf: (pod, shared) => (pod === 0 ? { ...shared, env: clock.env } : shared),
    });
  });
  afterEach(() => stage.settle());
  afterAll(async () => {
    await stage?.close();
    await postgres?.close();
    await clock?.close();
  });

  test.each([3_600, -3_600])(
    "P4: by %i s, that of Postgres and of one instance: nothing is run again",
    async (seconds) => {
      const { rows: before } = await stage.pool.query<{ now: Date }>("select clock_timestamp() as now");
      const ids = Array.from({ length: 9 }, () => randomUUID());
      const outcomes = await Promise.all(
        ids.map((messageId, n) =>
          stage.client(`sender ${n}`).stream("count 150 every 20ms", {
            messageId,
            pod: n % 3,
            onEvent: (event) => {
              if (n === 0 && event.generation === 20) void clock.set(seconds);
            },
          }),
        ),
      );
      const { rows: after } = await stage.pool.query<{ now: Date }>("select clock_timestamp() as now");
      const jumpedMs = Number(after[0]?.now) - Number(before[0]?.now);
      expect(Math.abs(jumpedMs), "the clock has jumped").toBeGreaterThan(1_800_000);
      for (const outcome of outcomes) expect(foldedText(outcome.events)).toBe(countedTo(150));
      for (const id of ids) expect(await stage.startsOf(id)).toBe(1);
      await clock.set(0);
    },
  );
});
