/** Mistakes are answered in the caller's dialect, by any replica alike, and leave nothing behind. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import type { Json, Reply } from "./support/rpc-client.ts";
import { collect, content, contextIdOf, RpcClient, stateOf, summary, taskIdOf } from "./support/rpc-client.ts";
import type { Dialect, Operation, Subject } from "./support/subject.ts";
import { JS_03, JS_1, JS_1_COMPAT, methodOf } from "./support/subject.ts";

const MAX_BODY_BYTES = 65_536;
const SUBJECTS: { name: string; subject: Subject }[] = [JS_1, JS_03].map((subject) => ({
  name: subject.name,
  subject,
}));

const fleets = new Map<string, Fleet>();

beforeAll(async () => {
  const env = { MAX_BODY_BYTES: String(MAX_BODY_BYTES) };
  await Promise.all(
    [JS_1, JS_03].map(async ({ agent, flags }) => fleets.set(agent, await startFleet({ agent, flags, env }))),
  );
});

afterAll(async () => {
  await Promise.all([...fleets.values()].map((fleet) => fleet.stop()));
});

function stageFor(subject: Subject) {
  const fleet = fleets.get(subject.agent)!;
  const [one, two] = [0, 1].map((replica) => new RpcClient(fleet.url(replica), subject)) as [RpcClient, RpcClient];
  return { fleet, one, two };
}

/** The shape of an error in the dialect: 1.0 names the reason in `data`, 0.3 has none. */
function expectError(body: Json, code: number, dialect: Dialect, reason?: string): void {
  expect(body.error?.code).toBe(code);
  expect(body.jsonrpc).toBe("2.0");
  expect(typeof body.error.message).toBe("string");
  if (dialect === "0.3") expect(body.error).not.toHaveProperty("data");
  else if (reason !== undefined) {
    expect(body.error.data).toEqual([
      expect.objectContaining({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        reason,
        domain: "a2a-protocol.org",
      }),
    ]);
  }
}

describe.for(SUBJECTS)("$name", ({ subject }) => {
  const { dialect } = subject;

  test("a message to a finished task is refused on every replica, whatever way it is sent", async () => {
    const { one, two, fleet } = stageFor(subject);
    const id = taskIdOf((await one.send("hello")).body.result);
    const code = dialect === "1.0" ? -32004 : -32600;
    for (const client of [one, two]) {
      expectError((await client.send("more", { taskId: id })).body, code, dialect, "UNSUPPORTED_OPERATION");
      const streamed = await collect(client.stream("more", { taskId: id }));
      expectError(streamed.kind === "reply" ? streamed.body : streamed.events[0]?.body, code, dialect);
    }
    expect((await fleet.starts()).filter((start) => start.taskId === id)).toHaveLength(1);
  });

  test("a task and a context that do not belong together are refused", async () => {
    const { one, two, fleet } = stageFor(subject);
    const id = taskIdOf((await one.send("ask")).body.result);
    const reply = await two.send("blue", { taskId: id, contextId: randomUUID() });
    expectError(reply.body, -32602, dialect, "INVALID_PARAMS");
    expect(stateOf((await one.get(id)).body.result)).toBe("input-required");
    expect((await fleet.starts()).filter((start) => start.taskId === id)).toHaveLength(1);
  });

  test("a message that names its task alone gets the context of the task", async () => {
    const { one, two, fleet } = stageFor(subject);
    const asked = (await one.send("ask")).body.result;
    const answered = await two.send("blue", { taskId: taskIdOf(asked) });
    expect(stateOf(answered.body.result)).toBe("completed");
    expect(contextIdOf(answered.body.result)).toBe(contextIdOf(asked));
    const starts = (await fleet.starts()).filter((start) => start.taskId === taskIdOf(asked));
    expect(starts.map((start) => start.contextId)).toEqual([contextIdOf(asked), contextIdOf(asked)]);
  });

  test("a subscription to a finished task", async () => {
    const { one, two } = stageFor(subject);
    const id = taskIdOf((await one.send("hello")).body.result);
    const seen = await collect(two.subscribe(id));
    if (dialect === "1.0") {
      expect(seen.kind).toBe("reply");
      if (seen.kind === "reply") expectError(seen.body, -32004, dialect, "UNSUPPORTED_OPERATION");
    } else {
      // As the SDK of 0.3 does it: the Task, then the end.
      expect(seen.kind === "events" && seen.events.map(summary)).toEqual(["task completed"]);
    }
  });

  const badCalls: [sentence: string, operation: Operation, params: (taskId: string) => unknown][] = [
    ["a message without an id", "send", () => ({ message: { role: "user", parts: [] } })],
    ["a send without a message", "send", () => ({})],
    ["a send without params", "send", () => undefined],
    ["a task id that is a number", "get", () => ({ id: 7 })],
    ["an empty task id", "get", () => ({ id: "" })],
    ["a task id of 300 characters", "get", () => ({ id: "x".repeat(300) })],
    ["a task id with a line break", "cancel", () => ({ id: "a\nb" })],
    ["a task id with a NUL", "subscribe", () => ({ id: "a\u0000b" })],
    ["a context id of 300 characters", "send", () => ({ message: { messageId: "m", contextId: "c".repeat(300) } })],
    ["a message id that is an object", "send", () => ({ message: { messageId: {} } })],
    ["a history length that is a word", "get", (id) => ({ id, historyLength: "many" })],
  ];

  test.for(badCalls)("%s is invalid", async ([, operation, params]) => {
    const { one, two } = stageFor(subject);
    const id = taskIdOf((await one.send("hello")).body.result);
    for (const client of [one, two]) {
      const seen = await client.call(operation, params(id));
      const body = seen.body ?? JSON.parse(/^data: (.*)$/m.exec(seen.text)?.[1] ?? "null");
      expectError(body, -32602, dialect);
    }
  });

  test.for([["1.5"], ["{}"], ["[1]"], ["true"]])("a request id that is no id: %s", async ([rawId]) => {
    const { one } = stageFor(subject);
    const body = `{"jsonrpc":"2.0","id":${rawId},"method":"${methodOf(subject, "get")}","params":{"id":"x"}}`;
    expectError((await one.post(body)).body, dialect === "1.0" ? -32602 : -32600, dialect);
  });

  test("a body past the limit is refused with 413 and a JSON-RPC error, whether or not its length is told", async () => {
    const { one } = stageFor(subject);
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: methodOf(subject, "send"),
      params: "x".repeat(MAX_BODY_BYTES),
    });
    const told = await one.post(body);
    const untold = await postUntold(one.url, body);
    for (const reply of [told, untold]) {
      expect(reply.status).toBe(413);
      expect(reply.body.error.code).toBe(-32600);
    }
    expect(stateOf((await one.send("hello")).body.result)).toBe("completed");
  });
});

describe("a task in the other dialect (the agent speaks both)", () => {
  const clients = (subject: Subject) => {
    const fleet = fleets.get("js-1")!;
    return [0, 1].map((replica) => new RpcClient(fleet.url(replica), subject)) as [RpcClient, RpcClient];
  };

  test.for([
    [JS_1, JS_1_COMPAT, -32004],
    [JS_1_COMPAT, JS_1, -32009],
  ] as const)(
    "P1: $0.dialect called in $1.dialect is refused with a text that says so",
    async ([born, other, code]) => {
      const [one] = clients(born);
      const [near, far] = clients(other);
      const asked = (await one.send("ask")).body.result;
      const id = taskIdOf(asked);
      for (const client of [near, far]) {
        const replies = [
          (await client.get(id)).body,
          (await client.cancel(id)).body,
          (await client.send("blue", { taskId: id })).body,
          await firstBody(client, id),
        ];
        for (const body of replies) {
          expectError(body, code, other.dialect);
          expect(body.error.message).toContain(born.dialect);
        }
      }
      expect(stateOf((await one.get(id)).body.result)).toBe("input-required");
    },
  );
});

test("history: how much of it a caller gets, per dialect", async () => {
  const lengths = async (subject: Subject, historyLengths: (number | undefined)[]) => {
    const { one, two } = stageFor(subject);
    const id = taskIdOf((await one.send("varied")).body.result);
    const replies = await Promise.all(historyLengths.map((length) => two.get(id, length)));
    return replies.map((reply) => content(reply.body.result).history?.length ?? null);
  };
  const [all, none, last] = await lengths(JS_1, [undefined, 0, 1]);
  expect([none, last]).toEqual([null, 1]);
  expect(all).toBeGreaterThan(1);
  const [whole, zero, one] = await lengths(JS_03, [100, 0, 1]);
  expect([zero, one]).toEqual([whole, 1]);
});

async function firstBody(client: RpcClient, id: string): Promise<Json> {
  const seen = await collect(client.subscribe(id));
  return seen.kind === "reply" ? seen.body : seen.events[0]?.body;
}

/** In chunks, without a Content-Length. */
async function postUntold(url: string, text: string): Promise<Pick<Reply, "status" | "body">> {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += 16_384) controller.enqueue(bytes.subarray(at, at + 16_384));
      controller.close();
    },
  });
  const init = { method: "POST", headers: { "content-type": "application/json" }, body, duplex: "half" as const };
  const response = await fetch(url, init);
  return { status: response.status, body: await response.json() };
}
