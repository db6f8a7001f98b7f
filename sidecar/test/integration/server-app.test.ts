/** The server room before the flows: bodies, answers, SSE at the client's pace, cards, limits. */
import { randomBytes } from "node:crypto";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import type { RpcCall, SseEvent } from "../../src/flows/answer.ts";
import { openRawClient } from "../support/raw-client.ts";
import { plainReply } from "../support/raw-http-server.ts";
import { startShell, type ShellOptions, type SidecarShell } from "../support/sidecar-shell.ts";
import { waitFor } from "../support/wait.ts";

const shells: SidecarShell[] = [];
afterEach(async () => {
  await Promise.all(shells.splice(0).map((shell) => shell.close()));
});

async function shellWith(options: ShellOptions = {}): Promise<SidecarShell> {
  const shell = await startShell(options);
  shells.push(shell);
  return shell;
}

function post(shell: SidecarShell, body: string | Buffer, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${shell.url}/a2a?x=1`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
}

async function* eventsOf(...events: SseEvent[]): AsyncGenerator<SseEvent> {
  yield* events;
}

const call = '{"jsonrpc":"2.0","id":"c1","method":"GetTask","params":{}}';

describe("JSON bodies", () => {
  test.each<[string, string | Buffer, Record<string, string>]>([
    ["plain", call, {}],
    ["the A2A media type with a parameter", call, { "content-type": "Application/A2A+JSON; charset=utf-8" }],
    ["gzip", gzipSync(call), { "content-encoding": "gzip" }],
    ["deflate", deflateSync(call), { "content-encoding": "deflate" }],
    ["br", brotliCompressSync(call), { "content-encoding": "br" }],
  ])("reach the flows as text: %s", async (_name, body, headers) => {
    const shell = await shellWith();
    const calls: RpcCall[] = [];
    shell.handleJsonRpc = (one) => {
      calls.push(one);
      return Promise.resolve({ kind: "json", status: 207, headers: { "x-a": ["1", "2"] }, body: '{"ok":"ü"}' });
    };
    const response = await post(shell, body, headers);
    expect([response.status, response.headers.get("x-a"), await response.text()]).toEqual([207, "1, 2", '{"ok":"ü"}']);
    expect(calls[0]).toMatchObject({ text: call, request: { method: "POST", path: "/a2a?x=1" } });
    expect(shell.agent.requests).toEqual([]);
  });

  test.each<[string, Buffer, Record<string, string>]>([
    ["an encoding that is not known", Buffer.from("xx"), { "content-encoding": "compress" }],
    ["bytes that do not decode", Buffer.from("no gzip"), { "content-encoding": "gzip" }],
    ["bytes that are no UTF-8", Buffer.from([0x22, 0xff, 0x22]), {}],
  ])("that cannot be inspected are the agent's to judge: %s", async (_name, body, headers) => {
    const shell = await shellWith({ agent: (socket) => void socket.write(plainReply("judged")) });
    shell.handleJsonRpc = () => Promise.reject(new Error("must not be asked"));
    expect(await (await post(shell, body, headers)).text()).toBe("judged");
    expect(shell.agent.requests[0]?.body.equals(body)).toBe(true);
  });

  test.each<[string, (shell: SidecarShell) => Promise<Response>]>([
    ["by its announced length", (shell) => post(shell, "x".repeat(20_000))],
    [
      "by what arrives",
      (shell) =>
        fetch(shell.url, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: ReadableStream.from([randomBytes(20_000)]),
          duplex: "half",
        } as RequestInit),
    ],
    ["by what it decodes to", (shell) => post(shell, gzipSync("x".repeat(20_000)), { "content-encoding": "gzip" })],
  ])("above the bound are refused with 413 and a JSON-RPC error: %s", async (_name, send) => {
    const shell = await shellWith();
    const response = await send(shell);
    expect([response.status, response.headers.get("connection"), await response.json()]).toEqual([
      413,
      "close",
      { jsonrpc: "2.0", id: null, error: expect.objectContaining({ code: -32600 }) },
    ]);
  });

  test("a refusal reaches a client that goes on sending", async () => {
    const shell = await shellWith();
    const client = await openRawClient(shell.port);
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 5000000\r\n\r\n");
    for (let n = 0; n < 40; n += 1) client.write(Buffer.alloc(65_536, 32));
    expect(await client.until(/^HTTP\/1\.1 413 [\s\S]*-32600/)).not.toBeNull();
    client.socket.destroy();
  });

  test("a bound of exactly MAX_BODY_BYTES is kept", async () => {
    const shell = await shellWith({ maxBodyBytes: call.length });
    shell.handleJsonRpc = () => Promise.resolve({ kind: "json", status: 200, headers: {}, body: "{}" });
    expect((await post(shell, call)).status).toBe(200);
    expect((await post(shell, `${call} `)).status).toBe(413);
  });

  test("a fault of ours is a 500 in the shape of the call, without its cause", async () => {
    const shell = await shellWith();
    shell.handleJsonRpc = () => Promise.reject(new Error("secret"));
    const response = await post(shell, call);
    const body = await response.text();
    expect([response.status, JSON.parse(body)]).toEqual([
      500,
      { jsonrpc: "2.0", id: "c1", error: expect.objectContaining({ code: -32603 }) },
    ]);
    expect(body).not.toContain("secret");
    expect(shell.logged).toEqual(["a JSON-RPC call failed by a bug"]);
  });

  test("the signal tells that the client is gone, and says nothing about one that was answered", async () => {
    const shell = await shellWith();
    const calls: RpcCall[] = [];
    let answer = (): void => {};
    shell.handleJsonRpc = (one) => {
      calls.push(one);
      return new Promise((resolve) => {
        answer = () => resolve({ kind: "json", status: 200, headers: {}, body: "{}" });
      });
    };
    const client = await openRawClient(shell.port);
    client.write(
      `POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${call.length}\r\n\r\n${call}`,
    );
    await waitFor(() => calls.length === 1, { message: "no call" });
    client.socket.destroy();
    await waitFor(() => calls[0]?.signal.aborted === true, { message: "the signal did not tell" });
    answer();
    const answered = post(shell, call);
    await waitFor(() => calls.length === 2, { message: "no second call" });
    answer();
    await (await answered).text();
    expect(calls[1]?.signal.aborted).toBe(false);
  });
});

describe("SSE answers", () => {
  function answerWith(shell: SidecarShell, events: AsyncIterable<SseEvent>): void {
    shell.handleJsonRpc = () => Promise.resolve({ kind: "events", headers: { "durable-agent-x": "1" }, events });
  }

  test("carry ids, names, comments and the headers that keep proxies from buffering", async () => {
    const shell = await shellWith();
    answerWith(shell, eventsOf({ id: "1", data: '{"a":1}' }, { comment: "hi" }, { event: "error", data: "{}" }));
    const response = await post(shell, call);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      "durable-agent-x": "1",
    });
    expect(await response.text()).toBe('id: 1\ndata: {"a":1}\n\n: hi\n\nevent: error\ndata: {}\n\n');
  });

  test("send the headers before the first event, and each event when it is there", async () => {
    const shell = await shellWith();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    answerWith(
      shell,
      (async function* () {
        for (const [index, gate] of gates.entries()) {
          await gate.promise;
          yield { data: String(index) };
        }
      })(),
    );
    const response = await post(shell, call);
    const reader = response.body?.getReader();
    const text = async (): Promise<string> => Buffer.from((await reader?.read())?.value ?? []).toString();
    gates[0]?.resolve();
    expect(await text()).toBe("data: 0\n\n");
    gates[1]?.resolve();
    expect(await text()).toBe("data: 1\n\n");
  });

  test("events that are ready together share a chunk", async () => {
    const shell = await shellWith();
    answerWith(shell, eventsOf(...Array.from({ length: 100 }, (_, n) => ({ data: String(n) }))));
    const client = await openRawClient(shell.port);
    client.write(
      `POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${call.length}\r\n\r\n${call}`,
    );
    await client.until(/0\r\n\r\n$/);
    expect(client.received.match(/\r\n[0-9a-f]+\r\n/g)?.length).toBeLessThan(10);
  });

  test("a quiet stream gets a comment now and then", async () => {
    const shell = await shellWith({ keepAliveMs: 20 });
    const end = Promise.withResolvers<void>();
    answerWith(
      shell,
      (async function* (): AsyncGenerator<SseEvent> {
        await end.promise;
        yield { data: "end" };
      })(),
    );
    const response = await post(shell, call);
    const text = response.text();
    setTimeout(() => end.resolve(), 100);
    expect(await text).toMatch(/^(: keep-alive\n\n){2,5}data: end\n\n$/);
  });

  test("a client that does not read stops the iteration, and memory does not grow", async () => {
    const shell = await shellWith();
    let pulled = 0;
    const data = "x".repeat(10_000);
    answerWith(
      shell,
      (async function* () {
        for (; pulled < 20_000; pulled += 1) yield { data };
      })(),
    );
    const response = await post(shell, call);
    await new Promise((resolve) => setTimeout(resolve, 200));
    // 200 MB are ready; the kernel's buffers take a few.
    expect(pulled).toBeLessThan(5_000);
    let received = 0;
    for await (const bytes of response.body ?? []) received += bytes.length;
    expect(received).toBe(20_000 * (data.length + "data: \n\n".length));
  });

  test("a client that leaves ends the iteration", async () => {
    const shell = await shellWith();
    let returned = 0;
    answerWith(shell, {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<SseEvent>>(() => {}),
        return: () => {
          returned += 1;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    });
    const abort = new AbortController();
    await fetch(shell.url, {
      method: "POST",
      body: call,
      headers: { "content-type": "application/json" },
      signal: abort.signal,
    });
    abort.abort();
    await waitFor(() => returned > 0, { message: "the iterator was not ended" });
    expect(returned).toBe(1);
  });

  test("a source that fails breaks the stream visibly", async () => {
    const shell = await shellWith();
    answerWith(
      shell,
      (async function* (): AsyncGenerator<SseEvent> {
        yield { data: "1" };
        await new Promise((resolve) => setImmediate(resolve));
        throw new Error("of a test");
      })(),
    );
    const response = await post(shell, call);
    await expect(response.text()).rejects.toThrow("terminated");
    await waitFor(() => shell.logged.length === 1, { message: "nothing was logged" });
  });
});

describe("cards", () => {
  const card = (url: string): string =>
    `{ "name": "a", "supportedInterfaces":[{"url":"${url}","protocolBinding":"JSONRPC","protocolVersion":"1.0"},{"url":"x:1","protocolBinding":"GRPC","protocolVersion":"1.0"}], "n": 12345678901234567890 }`;
  const cardFields = [
    "content-type: application/json",
    'etag: W/"own"',
    "cache-control: public, max-age=3600",
    "vary: A2A-Version",
  ];

  test("lead to the address the client used, with an ETag of their own", async () => {
    const shell = await shellWith({
      agent: (socket) => void socket.write(plainReply(card("http://localhost:9999/rpc"), { fields: cardFields })),
    });
    const response = await fetch(`${shell.url}/base/.well-known/agent-card.json`, {
      headers: { "x-forwarded-proto": "https", "x-forwarded-host": "agents.example.org", "if-none-match": 'W/"own"' },
    });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(card("https://agents.example.org/rpc"));
    const etag = response.headers.get("etag") ?? "";
    expect(etag).not.toBe('W/"own"');
    expect(response.headers.get("cache-control")).toBe("public, max-age=3600");
    expect(response.headers.get("vary")).toBe("A2A-Version, Host, X-Forwarded-Host, X-Forwarded-Proto");
    expect(shell.agent.requests[0]?.head).not.toMatch(/if-none-match/i);
    expect(shell.grpcInterfaces).toEqual([1]);
    const again = await fetch(`${shell.url}/base/.well-known/agent-card.json`, {
      headers: {
        "x-forwarded-proto": "https",
        "x-forwarded-host": "agents.example.org",
        "if-none-match": `"z", ${etag}`,
      },
    });
    expect([again.status, again.headers.get("etag"), await again.text()]).toEqual([304, etag, ""]);
  });

  test("that need no change keep their bytes and their ETag", async () => {
    const text = card("https://agents.example.org/rpc");
    const shell = await shellWith({
      publicUrl: "https://agents.example.org",
      agent: (socket) => void socket.write(plainReply(text, { fields: cardFields })),
    });
    const response = await fetch(`${shell.url}/.well-known/agent.json`);
    expect([await response.text(), response.headers.get("etag"), response.headers.get("vary")]).toEqual([
      text,
      'W/"own"',
      "A2A-Version",
    ]);
    expect((await fetch(`${shell.url}/.well-known/agent.json`, { headers: { "if-none-match": '"own"' } })).status).toBe(
      304,
    );
    const head = await fetch(`${shell.url}/.well-known/agent.json`, { method: "HEAD" });
    expect(head.headers.get("content-length")).toBe(String(text.length));
  });

  test.each([
    ["a refusal", "401 Unauthorized", "who?"],
    ["something that is no JSON", "200 OK", "<html>"],
    ["JSON that is no card", "200 OK", "[1]"],
  ])("%s in place of a card passes as it is", async (_name, status, body) => {
    const shell = await shellWith({
      agent: (socket) => void socket.write(plainReply(body, { status, fields: ["www-authenticate: Bearer"] })),
    });
    const response = await fetch(`${shell.url}/agent/authenticatedExtendedCard`);
    expect([
      `${response.status} ${response.statusText}`,
      await response.text(),
      response.headers.get("www-authenticate"),
    ]).toEqual([status, body, "Bearer"]);
  });
});

describe("limits", () => {
  test("a head above 32 KiB is refused", async () => {
    const shell = await shellWith();
    const client = await openRawClient(shell.port);
    client.write(`GET /${"x".repeat(40_000)} HTTP/1.1\r\nhost: a\r\n\r\n`);
    expect(await client.until(/^HTTP\/1\.1 431 /)).not.toBeNull();
  });

  test("what is no HTTP is refused and ends nothing", async () => {
    const shell = await shellWith({ agent: (socket) => void socket.write(plainReply("ok")) });
    const client = await openRawClient(shell.port);
    client.write("\x16\x03\x01\x02\x00\x01\r\n\r\n");
    await client.until(/^HTTP\/1\.1 400 /);
    expect(await (await fetch(shell.url)).text()).toBe("ok");
  });
});
