/** P7: a retried send is one task. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import type { Reply } from "./support/rpc-client.ts";
import { gather, RpcClient, stateOf, taskIdOf } from "./support/rpc-client.ts";
import type { Stage } from "./support/stage.ts";
import { openStage } from "./support/stage.ts";
import { JS_03, JS_1, RAW_1 } from "./support/subject.ts";

const JOINED = "durable-agent-joined";

function isJoined(reply: Reply): boolean {
  return reply.headers.get(JOINED) === "true";
}

describe.each([RAW_1, JS_1, JS_03])("sends to a $name agent", (subject) => {
  let stage: Stage;
  let one: RpcClient;
  let other: RpcClient;

  beforeAll(async () => {
    stage = await openStage({ subject, pods: 2 });
    [one, other] = stage.fleet.pods.map((pod) => new RpcClient(pod.url, subject)) as [RpcClient, RpcClient];
  });
  afterEach(() => stage.settle());
  afterAll(() => stage.close());

  test("P7: a second send while the first is in flight waits for the same task", async () => {
    const messageId = randomUUID();
    const first = one.send("slow 600", { messageId });
    await stage.started(messageId);
    const second = await other.send("slow 600", { messageId });
    expect(isJoined(second)).toBe(true);
    expect(isJoined(await first)).toBe(false);
    expect(second.body.result).toEqual((await first).body.result);
    expect(await stage.startsOf(messageId)).toBe(1);
  });

  test("P3, P7: a second stream shows the turn from its first event on, then what follows", async () => {
    const messageId = randomUUID();
    const first = gather(one.stream("count 12 every 30ms", { messageId }));
    await stage.started(messageId);
    await waitFor(async () => (await stage.pool.query("select 1 from task_event where generation = 5")).rowCount, {
      message: "five events are recorded",
    });
    const second = await gather(other.stream("count 12 every 30ms", { messageId }));
    expect(second.map(({ id, rawResult }) => [id, rawResult])).toEqual(
      (await first).map(({ id, rawResult }) => [id, rawResult]),
    );
    expect(second[0]?.id).toBe("1");
    expect(await stage.startsOf(messageId)).toBe(1);
  });

  test("P7: a stream that was joined resumes where the client lost it", async () => {
    const messageId = randomUUID();
    const whole = await gather(one.stream("count 6 every 5ms", { messageId }));
    const tail = await gather(other.stream("count 6 every 5ms", { messageId, lastEventId: "4" }));
    expect(tail.map(({ id }) => id)).toEqual(whole.slice(4).map(({ id }) => id));
  });

  test("P7: a send of what is done gets the result, as a call and as a stream, without another start", async () => {
    const messageId = randomUUID();
    const first = await one.send("slow 5", { messageId });
    const again = await other.send("slow 5", { messageId });
    expect(isJoined(again)).toBe(true);
    expect(taskIdOf(again.body.result)).toBe(taskIdOf(first.body.result));
    expect(stateOf(again.body.result)).toBe("completed");
    const streamed = await gather(other.stream("slow 5", { messageId }));
    expect(stateOf(streamed.at(-1)?.body.result)).toBe("completed");
    expect(await stage.startsOf(messageId)).toBe(1);
  });

  test("P7: a repeated answer to a question is bound to its own turn", async () => {
    const asked = await one.send("ask");
    const taskId = taskIdOf(asked.body.result);
    const messageId = randomUUID();
    const answered = await gather(one.stream("blue", { taskId, messageId }));
    const again = await gather(other.stream("blue", { taskId, messageId }));
    expect(again.map(({ id }) => id)).toEqual(answered.map(({ id }) => id));
    expect(Number(again[0]?.id)).toBeGreaterThan(1);
    const call = await other.send("blue", { taskId, messageId });
    expect(isJoined(call)).toBe(true);
    expect(stateOf(call.body.result)).toBe("completed");
    expect(await stage.startsOf(messageId)).toBe(1);
  });

  test("P7: the same id with another message, or in another context, is a new message", async () => {
    const messageId = randomUUID();
    const replies = [
      await one.send("slow 1", { messageId }),
      await other.send("slow 2", { messageId }),
      await other.send("slow 1", { messageId, contextId: randomUUID() }),
    ];
    expect(replies.map(isJoined)).toEqual([false, false, false]);
    expect(new Set(replies.map((reply) => taskIdOf(reply.body.result))).size).toBe(3);
    expect(await stage.startsOf(messageId)).toBe(3);
  });

  test("P7: an id that nobody minted is a new message each time", async () => {
    const replies = [await one.send("slow 1", { messageId: "m1" }), await other.send("slow 1", { messageId: "m1" })];
    expect(replies.map(isJoined)).toEqual([false, false]);
    expect(new Set(replies.map((reply) => taskIdOf(reply.body.result))).size).toBe(2);
  });

  test("P7: a bare Message is kept for who asks again", async () => {
    const messageId = randomUUID();
    const first = await one.send("message", { messageId });
    const again = await other.send("message", { messageId });
    expect(isJoined(again)).toBe(true);
    expect(again.body.result).toEqual(first.body.result);
  });

  test.runIf(subject.agent === "raw")(
    "P7: a send that failed before anything was recorded may be repeated at once",
    async () => {
      const messageId = randomUUID();
      const replies = [await one.send("http 429", { messageId }), await other.send("http 429", { messageId })];
      expect(replies.map((reply) => [reply.status, isJoined(reply)])).toEqual([
        [429, false],
        [429, false],
      ]);
    },
  );

  test.runIf(subject.agent === "raw")(
    "P7: a thousand sends, each given to two replicas at once: a thousand tasks, a thousand starts",
    {
      timeout: 60_000,
    },
    async () => {
      const ids = Array.from({ length: 1_000 }, () => randomUUID());
      const startedAtMs = performance.now();
      const tasks: string[] = [];
      let joins = 0;
      const sendOne = async (messageId: string) => {
        const pair = await Promise.all([one, other].map((client) => client.send("count 1 every 1ms", { messageId })));
        const found = new Set(pair.map((reply) => taskIdOf(reply.body?.result)));
        expect(found.size).toBe(1);
        joins += pair.filter(isJoined).length;
        tasks.push(...found);
      };
      for (let n = 0; n < ids.length; n += 50) await Promise.all(ids.slice(n, n + 50).map(sendOne));
      console.log(`1000 sends to two replicas at once in ${Math.round(performance.now() - startedAtMs)} ms`);
      expect(new Set(tasks).size).toBe(1_000);
      expect(joins).toBe(1_000);
      const started = new Set<string>(ids);
      expect((await stage.fleet.starts()).filter((start) => started.has(start.messageId))).toHaveLength(1_000);
      const { rows } = await stage.pool.query("select count(*)::int as count from task where agent = $1", [
        stage.fleet.agentKey,
      ]);
      expect(rows).toEqual([{ count: 1_000 }]);
    },
  );
});

describe("the window of idempotency", () => {
  test("P7: begins with the end of the turn", async () => {
    const stage = await openStage({ subject: RAW_1, pods: 2, env: { IDEMPOTENCY_WINDOW_SECONDS: "1" } });
    try {
      const [one, other] = stage.fleet.pods.map((pod) => new RpcClient(pod.url, RAW_1)) as [RpcClient, RpcClient];
      const messageId = randomUUID();
      await one.send("slow 1500", { messageId });
      expect(isJoined(await other.send("slow 1500", { messageId }))).toBe(true);
      await stage.pool.query("select pg_sleep(1.1)");
      expect(isJoined(await other.send("slow 1500", { messageId }))).toBe(false);
      expect(await stage.startsOf(messageId)).toBe(2);
    } finally {
      await stage.close();
    }
  });

  test("P7: of no length turns joining off", async () => {
    const stage = await openStage({ subject: RAW_1, pods: 1, env: { IDEMPOTENCY_WINDOW_SECONDS: "0" } });
    try {
      const client = new RpcClient(stage.fleet.pods[0]?.url ?? "", RAW_1);
      const messageId = randomUUID();
      const replies = [await client.send("slow 1", { messageId }), await client.send("slow 1", { messageId })];
      expect(replies.map(isJoined)).toEqual([false, false]);
      expect(await stage.startsOf(messageId)).toBe(2);
    } finally {
      await stage.close();
    }
  });
});
