/** What the sidecar does not need to understand goes through it as if it were not there (P10). */
import { randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import { normalText } from "./support/normal-form.ts";
import { perform, taskAt, taskIdIn } from "./support/outcome.ts";
import { content, gather, RpcClient, stateOf, summary, taskIdOf } from "./support/rpc-client.ts";
import type { Subject } from "./support/subject.ts";
import { JS_03, JS_1, JS_1_COMPAT, RAW_03, RAW_1 } from "./support/subject.ts";

const JSON_TYPE = { "content-type": "application/json" };
const VERSION_1 = { ...JSON_TYPE, "a2a-version": "1.0" };

interface HttpRequest {
  path: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer>;
}

interface HttpAnswer {
  status: number;
  headers: Record<string, string>;
  text: string;
}

/** Headers about the framing of the hop or about the moment. */
const OWN_TO_THE_HOP = new Set(["date", "connection", "keep-alive", "transfer-encoding", "content-length"]);

async function ask(baseUrl: string, { path, ...init }: HttpRequest): Promise<HttpAnswer> {
  const response = await fetch(baseUrl + path, { method: "POST", ...init });
  const headers = [...response.headers].filter(([name]) => !OWN_TO_THE_HOP.has(name) && name !== "etag");
  return { status: response.status, headers: Object.fromEntries(headers), text: normalText(await response.text()) };
}

function rpc(method: string, params: unknown, id: unknown = 1): string {
  return JSON.stringify({ jsonrpc: "2.0", ...(id !== undefined && { id }), method, params });
}

const hello = { message: { messageId: "m", role: "ROLE_USER", parts: [{ text: "hello" }] } };
const restHello = JSON.stringify(hello);
const oldHello = {
  message: { kind: "message", messageId: "m", role: "user", parts: [{ kind: "text", text: "hello" }] },
};

const fleets = new Map<string, Fleet>();
const fleetKey = ({ agent, flags }: Subject) => [agent, ...flags].join(" ");
const GUARDED: Subject = { ...RAW_1, flags: ["--token"] };

beforeAll(async () => {
  await Promise.all(
    [JS_1, JS_03, RAW_1, GUARDED].map(async (one) =>
      fleets.set(fleetKey(one), await startFleet({ ...one, replicas: 1 })),
    ),
  );
});

afterAll(async () => {
  await Promise.all([...fleets.values()].map((fleet) => fleet.stop()));
});

const unchanged: [sentence: string, subject: Subject, request: HttpRequest][] = [
  ["a batch", JS_1, { path: "/a2a/jsonrpc", headers: VERSION_1, body: `[${rpc("GetTask", { id: "x" })}]` }],
  ["a batch to a 0.3 agent", JS_03, { path: "/", headers: JSON_TYPE, body: `[${rpc("tasks/get", { id: "x" })}]` }],
  ["a notification", JS_1, { path: "/a2a/jsonrpc", headers: VERSION_1, body: rpc("GetTask", { id: "x" }, undefined) }],
  [
    "a notification to a 0.3 agent",
    JS_03,
    { path: "/", headers: JSON_TYPE, body: rpc("tasks/get", { id: "x" }, undefined) },
  ],
  ["an unknown method", JS_1, { path: "/a2a/jsonrpc", headers: VERSION_1, body: rpc("x/y", {}) }],
  ["an unknown method of a 0.3 agent", JS_03, { path: "/", headers: JSON_TYPE, body: rpc("tasks/list", {}) }],
  [
    "a method of an extension",
    RAW_1,
    {
      path: "/rpc",
      headers: JSON_TYPE,
      body: '{"jsonrpc":"2.0","id":1,"method":"x-echo/params","params":{"b": 18446744073709551615,"a":1,"a":2}}',
    },
  ],
  ["malformed JSON", JS_1, { path: "/a2a/jsonrpc", headers: VERSION_1, body: '{"jsonrpc":"2.0","id":1,' }],
  ["malformed JSON to a 0.3 agent", JS_03, { path: "/", headers: JSON_TYPE, body: '{"jsonrpc":' }],
  ["a body that is no call", RAW_1, { path: "/rpc", headers: JSON_TYPE, body: '"hello"' }],
  ["an empty body", JS_1, { path: "/a2a/jsonrpc", headers: VERSION_1, body: "" }],
  [
    "JSON-RPC 1.0",
    JS_1,
    { path: "/a2a/jsonrpc", headers: VERSION_1, body: '{"id":1,"method":"GetTask","params":{"id":"x"}}' },
  ],
  ["a task nobody knows", JS_1, { path: "/a2a/jsonrpc", headers: VERSION_1, body: rpc("GetTask", { id: "x" }) }],
  ["a task nobody knows, in 0.3", JS_03, { path: "/", headers: JSON_TYPE, body: rpc("tasks/get", { id: "x" }) }],
  [
    "a cancel of a task nobody knows",
    JS_1,
    { path: "/a2a/jsonrpc", headers: VERSION_1, body: rpc("CancelTask", { id: "x" }) },
  ],
  [
    "a subscription to a task nobody knows",
    JS_1,
    { path: "/a2a/jsonrpc", headers: VERSION_1, body: rpc("SubscribeToTask", { id: "x" }) },
  ],
  [
    "a subscription to a task nobody knows, in 0.3",
    JS_03,
    { path: "/", headers: JSON_TYPE, body: rpc("tasks/resubscribe", { id: "x" }) },
  ],
  [
    "a message to a task nobody knows",
    JS_1,
    {
      path: "/a2a/jsonrpc",
      headers: VERSION_1,
      body: rpc("SendMessage", { message: { ...hello.message, taskId: "x" } }),
    },
  ],
  [
    "a message to a task nobody knows, in 0.3",
    JS_03,
    { path: "/", headers: JSON_TYPE, body: rpc("message/send", { message: { ...oldHello.message, taskId: "x" } }) },
  ],
  ["a call without its version header", RAW_1, { path: "/rpc", headers: JSON_TYPE, body: rpc("GetTask", { id: "x" }) }],
  [
    "a version the agent refuses",
    JS_1,
    { path: "/a2a/jsonrpc", headers: { ...JSON_TYPE, "a2a-version": "9.9" }, body: rpc("SendMessage", hello) },
  ],
  [
    "another content type",
    JS_1,
    {
      path: "/a2a/jsonrpc",
      headers: { "content-type": "text/plain", "a2a-version": "1.0" },
      body: rpc("SendMessage", hello),
    },
  ],
  [
    "a gzipped call of an unknown method",
    JS_1,
    { path: "/a2a/jsonrpc", headers: { ...VERSION_1, "content-encoding": "gzip" }, body: gzipped(rpc("x/y", {})) },
  ],
  [
    "a body past the agent's own limit",
    JS_1,
    {
      path: "/a2a/jsonrpc",
      headers: VERSION_1,
      body: rpc("SendMessage", { message: { ...hello.message, parts: [{ text: "x".repeat(200_000) }] } }),
    },
  ],
  ["a REST send", JS_1, { path: "/a2a/rest/message:send", headers: VERSION_1, body: restHello }],
  [
    "a REST get of an unknown task",
    JS_1,
    { path: "/a2a/rest/tasks/x", method: "GET", headers: { "a2a-version": "1.0" } },
  ],
  ["another path", JS_1, { path: "/elsewhere?a=%2F&b=%20", method: "GET" }],
  ["another method", RAW_1, { path: "/status/405", method: "PUT", body: "x" }],
  ["a teapot", RAW_1, { path: "/status/418", method: "DELETE" }],
  ["no content", RAW_1, { path: "/status/204", method: "GET" }],
  [
    "a call without the credential it needs",
    GUARDED,
    { path: "/rpc", headers: VERSION_1, body: rpc("SendMessage", hello) },
  ],
  [
    "a stream without the credential it needs",
    GUARDED,
    { path: "/rpc", headers: VERSION_1, body: rpc("SendStreamingMessage", hello) },
  ],
  [
    "a get without the credential it needs",
    GUARDED,
    { path: "/rpc", headers: VERSION_1, body: rpc("GetTask", { id: "x" }) },
  ],
];

test.for(unchanged)("P10: %s gets the agent's own answer: status, headers and body", async ([, subject, request]) => {
  const fleet = fleets.get(fleetKey(subject))!;
  const [own, through] = [await ask(fleet.agentUrl(0), request), await ask(fleet.url(0), request)];
  expect(through).toEqual(own);
});

test.for([401, 413, 429, 502, 503])("P10: an agent that refuses a message with HTTP %i is quoted", async (status) => {
  const fleet = fleets.get(fleetKey(RAW_1))!;
  for (const method of ["SendMessage", "SendStreamingMessage"]) {
    const params = { message: { ...hello.message, parts: [{ text: `http ${status}` }] } };
    const request = { path: "/rpc", headers: VERSION_1, body: rpc(method, params) };
    const [own, through] = [await ask(fleet.agentUrl(0), request), await ask(fleet.url(0), request)];
    expect(through).toEqual(own);
  }
});

test("P10: what was asked for arrives as it was sent: method, path, query, headers, bytes", async () => {
  const fleet = fleets.get(fleetKey(RAW_1))!;
  const body = gzipped("no json");
  const headers = {
    "content-type": "application/octet-stream",
    "content-encoding": "gzip",
    "x-Custom": "ü".normalize("NFC"),
  };
  const echo = async (baseUrl: string) => {
    const response = await fetch(`${baseUrl}/echo/a%2Fb?q=1&q=2`, { method: "PATCH", headers, body });
    const { method, path, rawHeaders, body: received } = JSON.parse(await response.text());
    const own = new Set(["host", "connection", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);
    const pairs = rawHeaders.flatMap((name: string, at: number) =>
      at % 2 === 0 && !own.has(name.toLowerCase()) ? [[name.toLowerCase(), rawHeaders[at + 1]]] : [],
    );
    return { method, path, received, pairs: Object.fromEntries(pairs), cookies: response.headers.getSetCookie() };
  };
  expect(await echo(fleet.url(0))).toEqual(await echo(fleet.agentUrl(0)));
});

test("a gzipped send is read, recorded and answered", async () => {
  const fleet = fleets.get(fleetKey(JS_1))!;
  const client = new RpcClient(fleet.url(0), JS_1);
  const reply = await client.post(gzipped(rpc("SendMessage", hello)), { headers: { "content-encoding": "gzip" } });
  expect(stateOf(reply.body.result)).toBe("completed");
  const list = await client.call("list", { contextId: content(reply.body.result).contextId });
  expect(list.body.result.tasks.map((task: { id: string }) => task.id)).toEqual([taskIdOf(reply.body.result)]);
});

test("a credential reaches the agent with every call made for its owner", async () => {
  const fleet = fleets.get(fleetKey(GUARDED))!;
  const client = new RpcClient(fleet.url(0), GUARDED);
  const headers = { authorization: "Bearer fixture" };
  const reply = await client.call("send", client.message("count 3 every 10ms", { blocking: false }), { headers });
  const id = taskIdOf(reply.body.result);
  await taskAt(client, id, "completed");
  const asked = await client.call("send", client.message("ask"), { headers });
  const place = { taskId: taskIdOf(asked.body.result), contextId: content(asked.body.result).contextId };
  const answered = await client.call("send", client.message("blue", place), { headers });
  expect(stateOf(answered.body.result)).toBe("completed");
});

const SILENT_AGENTS: { name: string; subject: Subject }[] = [
  { name: "JS 1.3 without streaming", subject: { ...JS_1, flags: ["--compat", "--no-streaming"] } },
  { name: "JS 1.3 without streaming, in 0.3", subject: { ...JS_1_COMPAT, flags: ["--compat", "--no-streaming"] } },
  { name: "JS 0.3 without streaming", subject: { ...JS_03, flags: ["--no-streaming"] } },
  { name: "a 1.0 agent that refuses streams", subject: { ...RAW_1, flags: ["--no-streaming"] } },
  { name: "a 0.3 agent without stream methods", subject: { ...RAW_03, flags: ["--old-card", "--no-stream-method"] } },
];

describe.for(SILENT_AGENTS)("$name", ({ subject }) => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await startFleet(subject);
  });

  afterAll(() => fleet.stop());

  const stage = () => ({
    direct: new RpcClient(fleet.agentUrl(0), subject),
    one: new RpcClient(fleet.url(0), subject),
    two: new RpcClient(fleet.url(1), subject),
  });

  test("P10: a stream is refused as the agent refuses it", async () => {
    const { direct, one } = stage();
    const [own, through] = [await perform(direct, "streaming", "hello"), await perform(one, "streaming", "hello")];
    expect(through).toEqual(own);
    expect(own.status).toBe(200);
  });

  test("P4: a non-blocking send is polled to its end, and a subscriber elsewhere sees it", async () => {
    const { one, two } = stage();
    const reply = await one.send("slow 900", { blocking: false });
    const id = taskIdOf(reply.body.result);
    const events = await gather(two.subscribe(id));
    expect(summary(events[0]!)).toMatch(/^task (submitted|working)$/);
    expect(summary(events.at(-1)!)).toBe("status completed");
    expect(events.map((event) => Number(event.id))).toEqual(events.map((_, index) => Number(events[0]?.id) + index));
    expect(content((await two.get(id)).body.result).artifacts).toHaveLength(1);
  });

  test("P1: an answer to a question goes to its agent as a unary send", async () => {
    const { one, two } = stage();
    const asked = await one.send("ask");
    const place = { taskId: taskIdOf(asked.body.result), contextId: content(asked.body.result).contextId };
    const answered = await two.send("blue", place);
    expect(stateOf(answered.body.result)).toBe("completed");
    const events = await gather(one.subscribe(place.taskId, { lastEventId: "0" }));
    expect(summary(events.at(-1)!)).toBe("status completed");
  });

  test("a blocking send of long work is answered with its end", async () => {
    const { one, two } = stage();
    const outcome = await perform(one, "unary", "slow 300");
    expect(stateOf(outcome.body.result)).toBe("completed");
    await taskAt(two, taskIdIn(outcome), "completed");
  });
});

describe("agents that know no subscription while nothing runs", () => {
  const subject: Subject = { ...RAW_1, flags: ["--subscribe-needs-execution"] };
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await startFleet(subject);
  });

  afterAll(() => fleet.stop());

  test("P1, P3: a streamed answer through another replica brings every event of the turn", async () => {
    const [one, two] = [new RpcClient(fleet.url(0), subject), new RpcClient(fleet.url(1), subject)];
    const asked = await one.send("ask");
    const place = { taskId: taskIdOf(asked.body.result), contextId: content(asked.body.result).contextId };
    const events = await gather(two.stream("blue", place));
    expect(events.map(summary)).toEqual(["status working", "artifact", "status completed"]);
    const replayed = await gather(one.subscribe(place.taskId, { lastEventId: "1" }));
    expect(replayed.map((event) => event.rawResult)).toEqual(events.map((event) => event.rawResult));
  });

  test("P1: a unary answer is recorded from its reply", async () => {
    const [one, two] = [new RpcClient(fleet.url(0), subject), new RpcClient(fleet.url(1), subject)];
    const asked = await one.send("ask");
    const place = { taskId: taskIdOf(asked.body.result), contextId: content(asked.body.result).contextId };
    const answered = await two.send("blue", place);
    expect(stateOf(answered.body.result)).toBe("completed");
    await taskAt(one, place.taskId, "completed");
  });
});

test("P10: two messages of one id are two messages to the agent where the id is no UUID", async () => {
  const fleet = fleets.get(fleetKey(JS_1))!;
  const client = new RpcClient(fleet.url(0), JS_1);
  const messageId = `m-${randomUUID().slice(0, 4)}`;
  const sent = await Promise.all([client.send("hello", { messageId }), client.send("hello", { messageId })]);
  const ids = sent.map((reply) => taskIdOf(reply.body.result));
  expect(new Set(ids).size).toBe(2);
});

function gzipped(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(text));
}
