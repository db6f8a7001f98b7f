/** What the flows rely on of the HTTP agent: how an exchange ended, whatever the agent's framing does. */
import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openAgentPool } from "../../src/adapters/agent/agent-pool.ts";
import { openHttpAgent } from "../../src/adapters/agent/http-agent.ts";
import type { Agent, AgentEvents, AgentExchange, AgentRequest } from "../../src/ports/agent.ts";
import {
  chunk,
  plainReply,
  sseHead,
  startRawHttpServer,
  type RawHandler,
  type RawHttpServer,
} from "../support/raw-http-server.ts";
import { freePort, waitFor, within } from "../support/wait.ts";

const post: AgentRequest = { method: "POST", path: "/rpc?x=1", headers: { "a2a-version": "1.0" }, body: '{"id":1}' };

let server: RawHttpServer;
let agent: Agent;
beforeEach(async () => {
  server = await startRawHttpServer(() => {});
  agent = openHttpAgent({ pool: openAgentPool(server.url), agentUrl: server.url, maxReplyBytes: 200_000 });
});
afterEach(async () => {
  await agent.close();
  await server.close();
});

async function exchange(handler: RawHandler, request = post, signal?: AbortSignal): Promise<AgentExchange> {
  server.handler = handler;
  return within(agent.exchange(request, signal === undefined ? {} : { signal }), 5_000, "the exchange did not settle");
}

async function eventsOf(handler: RawHandler): Promise<AgentEvents> {
  const result = await exchange(handler);
  if (result.kind !== "events") throw new Error(`no events: ${result.kind}`);
  return result.events;
}

async function collect(events: AgentEvents): Promise<string[]> {
  const data: string[] = [];
  for await (const event of events) data.push(event.name === "message" ? event.data : `${event.name}: ${event.data}`);
  return data;
}

describe("replies", () => {
  test("the request is sent as given, with framing and without compression", async () => {
    await exchange((socket) => void socket.write(plainReply("{}")));
    const [request] = server.requests;
    expect(request?.head).toMatch(/^POST \/rpc\?x=1 HTTP\/1\.1\r\n/);
    expect(request?.head.toLowerCase()).toContain("\r\na2a-version: 1.0");
    expect(request?.head.toLowerCase()).toContain("\r\naccept-encoding: identity");
    expect(request?.head.toLowerCase()).toContain("\r\ncontent-type: application/json");
    expect(request?.head.toLowerCase()).toContain("\r\ncontent-length: 8");
    expect(request?.body.toString()).toBe('{"id":1}');
  });

  test("a reply keeps status, headers and text, repeated fields included", async () => {
    const result = await exchange((socket) => {
      const fields = ["content-type: text/html", "set-cookie: a=1", "set-cookie: b=2", "retry-after: 7"];
      socket.write(plainReply("<h1>zu groß</h1>", { status: "413 Too Large", fields }));
    });
    expect(result).toEqual({
      kind: "reply",
      reply: {
        status: 413,
        headers: expect.objectContaining({ "set-cookie": ["a=1", "b=2"], "retry-after": "7" }),
        body: "<h1>zu groß</h1>",
      },
    });
  });

  test("bytes that are no UTF-8 come along as they are", async () => {
    const bytes = Buffer.from([0x67, 0x72, 0xf6, 0xdf]);
    const result = await exchange((socket) => void socket.write(plainReply(bytes)));
    expect(result.kind === "reply" && Buffer.from(result.reply.bytes ?? []).equals(bytes)).toBe(true);
  });

  test("a reply that is compressed all the same is decoded", async () => {
    const result = await exchange((socket) => {
      socket.write(
        plainReply(gzipSync('{"ok":true}'), { fields: ["content-type: application/json", "content-encoding: gzip"] }),
      );
    });
    expect(result.kind === "reply" && result.reply).toEqual({
      status: 200,
      headers: { "content-type": "application/json" },
      body: '{"ok":true}',
    });
  });

  test("the path of AGENT_URL comes before every request path", async () => {
    const prefixed = openHttpAgent({ pool: openAgentPool(server.url), agentUrl: `${server.url}/base/` });
    server.handler = (socket) => void socket.write(plainReply("{}"));
    await prefixed.exchange(post);
    expect(server.requests[0]?.head).toMatch(/^POST \/base\/rpc\?x=1 /);
    await prefixed.close();
  });

  test("a connection is used again", async () => {
    for (let n = 0; n < 20; n += 1) await exchange((socket) => void socket.write(plainReply("{}")));
    // A call made in the very tick of the last reply finds that connection still busy, so there may be two.
    expect(server.sockets.size).toBeLessThanOrEqual(2);
  });
});

describe("how an exchange ends", () => {
  const broken: [string, RawHandler][] = [
    ["a reset before the reply", (socket) => void socket.resetAndDestroy()],
    ["a close before the reply", (socket) => void socket.end()],
    ["a close in the middle of the headers", (socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-le")],
    ["a body shorter than its length", (socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}")],
    [
      "chunks without the last one",
      (socket) => void socket.end(`${sseHead.replace("text/event-stream", "application/json")}2\r\n{}\r\n`),
    ],
    ["bytes that are no HTTP", (socket) => void socket.end("SSH-2.0-OpenSSH_9\r\n")],
    ["a reply above the bound", (socket) => void socket.write(plainReply("x".repeat(200_001)))],
    [
      "a compressed reply that does not decode",
      (socket) => void socket.write(plainReply("no gzip", { fields: ["content-encoding: gzip"] })),
    ],
  ];
  test.each(broken)("%s is broken: the request may have been received", async (_name, handler) => {
    expect(await exchange(handler)).toMatchObject({ kind: "failed", end: "broken" });
  });

  test("a port nobody listens on is refused: the request was not received", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const absent = openHttpAgent({ pool: openAgentPool(url), agentUrl: url });
    expect(await absent.exchange(post)).toMatchObject({ kind: "failed", end: "refused" });
    await absent.close();
  });

  test("a path that cannot be sent is refused, not thrown", async () => {
    expect(await exchange(() => {}, { ...post, path: "/a b\r\nx: y" })).toMatchObject({
      kind: "failed",
      end: "refused",
    });
  });

  test("a kept connection that the agent closes before the next request costs nothing", async () => {
    await exchange((socket) => void socket.end(plainReply("{}")));
    await waitFor(() => server.sockets.size === 0, { message: "the connection stayed" });
    expect(await exchange((socket) => void socket.write(plainReply("{}")))).toMatchObject({ kind: "reply" });
  });

  test("a POST on a kept connection that resets is broken and is not sent twice", async () => {
    await exchange((socket) => void socket.write(plainReply("{}")));
    server.requests.length = 0;
    expect(await exchange((socket) => void socket.resetAndDestroy())).toMatchObject({ kind: "failed", end: "broken" });
    expect(server.requests).toHaveLength(1);
  });

  test("an abort while the agent is silent settles at once and drops the connection", async () => {
    const abort = new AbortController();
    const pending = exchange(() => abort.abort(), post, abort.signal);
    expect(await pending).toMatchObject({ kind: "failed", end: "broken" });
    await waitFor(() => server.sockets.size === 0, { message: "the connection stayed" });
  });

  test("an abort before the call sends nothing", async () => {
    expect(await exchange(() => {}, post, AbortSignal.abort())).toMatchObject({ kind: "failed", end: "refused" });
    expect(server.requests).toHaveLength(0);
  });
});

describe("SSE replies", () => {
  test("events come out whatever the chunks are, with their names, and the end is clean", async () => {
    const text = 'data: {"n":1}\r\n\r\n: ping\n\nevent: error\ndata: ü\n\nid: 7\rdata: last\r\r';
    const events = await eventsOf((socket) => {
      socket.write(sseHead);
      for (const byte of Buffer.from(text)) socket.write(chunk(Buffer.from([byte])));
      socket.write(chunk(""));
    });
    expect(await collect(events)).toEqual(['{"n":1}', "error: ü", "last"]);
    expect(events.end).toBe("clean");
  });

  test("the headers are enough: the first event may come late", async () => {
    const events = await eventsOf((socket) => void socket.write(sseHead));
    const first = collect(events);
    const [socket] = server.sockets;
    socket?.write(chunk("data: late\n\n"));
    socket?.write(chunk(""));
    expect(await within(first, 2_000, "no event")).toEqual(["late"]);
  });

  test("the last event of a complete body needs no blank line", async () => {
    const events = await eventsOf(
      (socket) => void socket.write(Buffer.concat([Buffer.from(sseHead), chunk("data: 1\n\ndata: 2"), chunk("")])),
    );
    expect(await collect(events)).toEqual(["1", "2"]);
  });

  test.each<[string, (socket: Socket) => void]>([
    ["a missing last chunk", (socket) => void socket.end()],
    ["a reset", (socket) => void socket.resetAndDestroy()],
  ])("%s breaks the stream, and the event that broke off is none", async (_name, cut) => {
    const events = await eventsOf(
      (socket) => void socket.write(Buffer.concat([Buffer.from(sseHead), chunk("data: 1\n\ndata: 2")])),
    );
    const iterator = events[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: { name: "message", data: "1" } });
    for (const socket of server.sockets) cut(socket);
    expect(await iterator.next()).toMatchObject({ done: true });
    expect(events.end).toBe("broken");
  });

  test("a stream without framing ends clean with its connection", async () => {
    const events = await eventsOf(
      (socket) =>
        void socket.end("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n"),
    );
    expect(await collect(events)).toEqual(["1"]);
    expect(events.end).toBe("clean");
  });

  test("an event above the bound breaks the stream", async () => {
    const events = await eventsOf((socket) => {
      socket.write(sseHead);
      for (let n = 0; n < 30; n += 1) socket.write(chunk("x".repeat(10_000)));
    });
    expect(await collect(events)).toEqual([]);
    expect(events.end).toBe("broken");
  });

  test("an agent that sends faster than is read is held back", async () => {
    let written = 0;
    const events = await eventsOf((socket) => {
      socket.write(sseHead);
      const event = chunk(`data: ${"x".repeat(1_000)}\n\n`);
      const more = (): void => {
        while (written < 50_000) {
          written += 1;
          if (!socket.write(event)) {
            socket.once("drain", more);
            return;
          }
        }
        socket.write(chunk(""));
      };
      more();
    });
    const iterator = events[Symbol.asyncIterator]();
    await iterator.next();
    // 50 MB wait at the agent; kernel buffers take a few of them.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(written).toBeLessThan(25_000);
    let read = 1;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) read += 1;
    expect([read, events.end]).toEqual([50_000, "clean"]);
  });

  test("`close` drops the connection and ends a reader that waits", async () => {
    const events = await eventsOf((socket) => void socket.write(sseHead));
    const reader = collect(events);
    events.close();
    expect(await within(reader, 1_000, "the reader hung")).toEqual([]);
    await waitFor(() => server.sockets.size === 0, { message: "the connection stayed" });
    expect(events.end).toBeNull();
  });

  test("an abort after the headers breaks the stream", async () => {
    const abort = new AbortController();
    const result = await exchange((socket) => void socket.write(sseHead), post, abort.signal);
    if (result.kind !== "events") throw new Error(result.kind);
    const reader = collect(result.events);
    abort.abort();
    expect(await within(reader, 1_000, "the reader hung")).toEqual([]);
    expect(result.events.end).toBe("broken");
  });
});
