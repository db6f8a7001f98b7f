/** P10: what the sidecar does not need to understand passes through unchanged. */
import { createHash, randomBytes } from "node:crypto";
import { METHODS } from "node:http";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { openRawClient } from "../support/raw-client.ts";
import { chunk, plainReply, sseHead } from "../support/raw-http-server.ts";
import { startShell, type ShellOptions, type SidecarShell } from "../support/sidecar-shell.ts";
import { freePort, waitFor } from "../support/wait.ts";

const shells: SidecarShell[] = [];
afterEach(async () => {
  await Promise.all(shells.splice(0).map((shell) => shell.close()));
});

async function shellWith(options: ShellOptions = {}): Promise<SidecarShell> {
  const shell = await startShell(options);
  shells.push(shell);
  return shell;
}

const echo: ShellOptions["agent"] = (socket) =>
  void socket.write(plainReply("ok", { fields: ["content-type: text/plain"] }));

/** UTF-8 bytes as the latin1 text in which heads are kept here. */
function onTheWire(text: string): string {
  return Buffer.from(text).toString("latin1");
}

describe("requests", () => {
  test("the agent gets method, target and fields as the client wrote them, without hop-by-hop ones", async () => {
    const shell = await shellWith({ agent: echo });
    const client = await openRawClient(shell.port);
    client.write(
      "DELETE /a%2Fb/../%zz?q=%20&A2A-Version=1.0 HTTP/1.1\r\nHost: agent.example.org\r\nX-Custom: Ümläut\r\nx-twice: 1\r\n" +
        "X-Twice: 2\r\nAuthorization: Bearer abc\r\nConnection: keep-alive, X-Hop\r\nX-Hop: gone\r\nTE: trailers\r\n" +
        "Accept-Encoding: gzip, br\r\nX-Forwarded-For: 10.0.0.9\r\n\r\n",
    );
    await client.until(/ok$/);
    const lines = shell.agent.requests[0]?.head.split("\r\n") ?? [];
    expect(lines).toEqual([
      "DELETE /a%2Fb/../%zz?q=%20&A2A-Version=1.0 HTTP/1.1",
      "host: agent.example.org",
      "connection: keep-alive",
      `X-Custom: ${onTheWire("Ümläut")}`,
      "x-twice: 1",
      "X-Twice: 2",
      "Authorization: Bearer abc",
      "Accept-Encoding: gzip, br",
      "x-forwarded-for: 10.0.0.9, 127.0.0.1",
      "x-forwarded-proto: http",
      "x-forwarded-host: agent.example.org",
    ]);
  });

  test.each(METHODS.filter((method) => method !== "CONNECT" && method !== "HEAD"))(
    "%s reaches the agent",
    async (method) => {
      const shell = await shellWith({ agent: echo });
      const client = await openRawClient(shell.port);
      client.write(`${method} /x HTTP/1.1\r\nhost: a\r\n\r\n`);
      await client.until(/ok$/);
      expect(shell.agent.requests[0]?.head).toMatch(new RegExp(`^${method} /x HTTP/1.1\r\n`));
    },
  );

  test("bodies of any type pass byte for byte, with their framing", async () => {
    const shell = await shellWith({ agent: echo });
    const bytes = randomBytes(300_000);
    await fetch(`${shell.url}/upload`, {
      method: "PUT",
      body: bytes,
      headers: { "content-type": "application/octet-stream" },
    });
    const parts = [bytes.subarray(0, 1), bytes.subarray(1, 100_000), bytes.subarray(100_000)];
    await fetch(`${shell.url}/upload`, {
      method: "POST",
      body: ReadableStream.from(parts),
      duplex: "half",
    } as RequestInit);
    const [fixed, chunked] = shell.agent.requests;
    expect(fixed?.head).toContain("content-length: 300000");
    expect(chunked?.head).toContain("transfer-encoding: chunked");
    expect([fixed?.body.equals(bytes), chunked?.body.equals(bytes)]).toEqual([true, true]);
  });

  test("a compressed JSON body that the flows give back arrives compressed as it was", async () => {
    const shell = await shellWith({ agent: echo });
    const body = gzipSync('{"jsonrpc":"2.0","id":1,"method":"x/unknown"}');
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    await fetch(shell.url, { method: "POST", body, headers });
    expect(shell.agent.requests[0]?.head).toContain("content-encoding: gzip");
    expect(shell.agent.requests[0]?.body.equals(body)).toBe(true);
  });

  test("Expect: 100-continue is answered here and not passed on", async () => {
    const shell = await shellWith({ agent: echo });
    const client = await openRawClient(shell.port);
    client.write("PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    await client.until(/100 Continue/);
    client.write("abc");
    await client.until(/ok$/);
    expect(shell.agent.requests[0]?.head.toLowerCase()).not.toContain("expect");
    expect(shell.agent.requests[0]?.body.toString()).toBe("abc");
  });

  test("Java's offer of h2c is ignored and its call is handled like any other", async () => {
    const shell = await shellWith();
    const bodies: string[] = [];
    shell.handleJsonRpc = (call) => {
      bodies.push(call.text);
      return Promise.resolve({ kind: "json", status: 200, headers: {}, body: "{}" });
    };
    const client = await openRawClient(shell.port);
    client.write(
      "POST / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAE\r\n" +
        'content-type: application/json\r\ncontent-length: 8\r\n\r\n{"id":1}',
    );
    await client.until(/200 OK[\s\S]*\{\}$/);
    expect(bodies).toEqual(['{"id":1}']);
  });
});

describe("replies", () => {
  test("status, reason, fields and bytes come back as the agent wrote them", async () => {
    const body = Buffer.from([0, 255, 254, 10, 13]);
    const fields = [
      "Content-Type: text/html",
      "Set-Cookie: a=1",
      "Set-Cookie: b=2",
      `X-Odd: ${onTheWire("Ümläut")}`,
      "WWW-Authenticate: Bearer",
      "Connection: X-Gone",
      "X-Gone: 1",
      "Content-Encoding: br",
    ];
    const shell = await shellWith({
      agent: (socket) => void socket.write(plainReply(body, { status: "418 I'm a teapot!", fields })),
    });
    const client = await openRawClient(shell.port);
    client.write("GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
    await client.until(/\n\r$/);
    const [head = "", received = ""] = client.received.split("\r\n\r\n");
    expect(head.split("\r\n")).toEqual([
      "HTTP/1.1 418 I'm a teapot!",
      "content-length: 5",
      "Content-Type: text/html",
      "Set-Cookie: a=1",
      "Set-Cookie: b=2",
      `X-Odd: ${onTheWire("Ümläut")}`,
      "WWW-Authenticate: Bearer",
      "Content-Encoding: br",
      "Connection: keep-alive",
      "Keep-Alive: timeout=75",
    ]);
    expect(Buffer.from(received, "latin1").equals(body)).toBe(true);
  });

  test.each([
    [
      "HEAD",
      'HTTP/1.1 200 OK\r\ncontent-length: 50\r\netag: "x"\r\n\r\n',
      /^HTTP\/1\.1 200 OK\r\ncontent-length: 50\r\netag: "x"\r\n[\s\S]*\r\n\r\n$/,
    ],
    ["GET", "HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n", /^HTTP\/1\.1 204 No Content\r\nx-a: 1\r\n[\s\S]*\r\n\r\n$/],
    [
      "GET",
      'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n',
      /^HTTP\/1\.1 304 Not Modified\r\netag: "x"\r\n[\s\S]*\r\n\r\n$/,
    ],
  ])("a %s reply without a body: %j", async (method, reply, expected) => {
    const shell = await shellWith({ agent: (socket) => void socket.write(reply) });
    const client = await openRawClient(shell.port);
    client.write(`${method} /x HTTP/1.1\r\nhost: a\r\n\r\n`);
    await client.until(expected);
    client.write(`${method} /y HTTP/1.1\r\nhost: a\r\n\r\n`);
    await waitFor(() => shell.agent.requests.length === 2, { message: "the connection cannot be used again" });
    expect(client.received).toMatch(expected);
  });

  test("a stream is passed on event by event", async () => {
    const shell = await shellWith({
      agent: (socket) => void socket.write(Buffer.concat([Buffer.from(sseHead), chunk("data: 1\n\n")])),
    });
    const client = await openRawClient(shell.port);
    client.write("POST /message:stream HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    await client.until(/data: 1\n\n/);
    for (const socket of shell.agent.sockets) socket.write(Buffer.concat([chunk("data: 2\n\n"), chunk("")]));
    await client.until(/0\r\n\r\n$/);
    expect(client.received.match(/data: \d\n\n/g)).toEqual(["data: 1\n\n", "data: 2\n\n"]);
  });

  test("a large reply arrives whole, and a client that does not read holds the agent back", async () => {
    const bytes = randomBytes(20 * 1024 * 1024);
    let written = 0;
    const shell = await shellWith({
      agent: (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes.length}\r\n\r\n`);
        const more = (): void => {
          while (written < bytes.length) {
            const part = bytes.subarray(written, written + 65_536);
            written += part.length;
            if (!socket.write(part)) {
              socket.once("drain", more);
              return;
            }
          }
        };
        more();
      },
    });
    const response = await fetch(`${shell.url}/big`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(written).toBeLessThan(bytes.length);
    const received = Buffer.from(await response.arrayBuffer());
    expect(createHash("sha256").update(received).digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
  });
});

describe("what goes wrong", () => {
  test("an agent that does not listen is a 502, as JSON-RPC for a JSON call", async () => {
    const shell = await shellWith({ agentUrl: `http://127.0.0.1:${await freePort()}` });
    const plain = await fetch(`${shell.url}/x`);
    expect([plain.status, await plain.json()]).toEqual([502, { error: expect.any(String) }]);
    const body = '{"jsonrpc":"2.0","id":12345678901234567890,"method":"GetTask"}';
    const call = await fetch(shell.url, { method: "POST", headers: { "content-type": "application/json" }, body });
    expect(call.status).toBe(502);
    expect(await call.text()).toContain('"id":12345678901234567890,"error":{"code":-32603');
  });

  test("a reply that breaks off breaks off here too", async () => {
    const shell = await shellWith({
      agent: (socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf"),
    });
    const client = await openRawClient(shell.port);
    client.write("GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
    await waitFor(() => client.closed, { message: "the connection stayed open" });
    expect(client.received).toMatch(/half$/);
  });

  test("a client that leaves ends the exchange with the agent, before and during the reply", async () => {
    const shell = await shellWith({
      agent: (socket, request) => void (request.head.startsWith("GET /begun") && socket.write(sseHead)),
    });
    for (const path of ["/silent", "/begun"]) {
      const client = await openRawClient(shell.port);
      client.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
      await waitFor(() => shell.agent.requests.some((one) => one.head.startsWith(`GET ${path}`)), {
        message: "no request",
      });
      if (path === "/begun") await client.until(/text\/event-stream/);
      client.socket.destroy();
      await waitFor(() => shell.agent.sockets.size === 0, { message: "the agent's connection stayed" });
    }
    expect(shell.agent.requests).toHaveLength(2);
  });

  test("an upload that breaks off never looks complete to the agent", async () => {
    const shell = await shellWith({ agent: echo });
    const client = await openRawClient(shell.port);
    client.write("PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    await waitFor(() => shell.agent.sockets.size === 1, { message: "the upload did not begin" });
    client.socket.destroy();
    await waitFor(() => shell.agent.sockets.size === 0, { message: "the agent's connection stayed" });
    expect(shell.agent.requests).toEqual([]);
  });
});

describe("WebSocket", () => {
  test("the two sockets are joined, whatever is said on them", async () => {
    const shell = await shellWith({
      agent: (socket, request) => {
        if (!/upgrade: websocket/i.test(request.head)) return;
        socket.removeAllListeners("data");
        socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\nhello");
        socket.on("data", (bytes) => socket.write(Buffer.from(bytes.toString().toUpperCase())));
      },
    });
    const client = await openRawClient(shell.port);
    client.write(
      "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n",
    );
    await client.until(/101 Switching Protocols[\s\S]*hello$/);
    client.write("ping");
    await client.until(/PING$/);
    expect(shell.agent.requests[0]?.head).toContain("sec-websocket-key: x");
    client.socket.destroy();
    await waitFor(() => shell.agent.sockets.size === 0, { message: "the agent's socket stayed" });
  });

  test("without an agent it is a 502", async () => {
    const shell = await shellWith({ agentUrl: `http://127.0.0.1:${await freePort()}` });
    const client = await openRawClient(shell.port);
    client.write("GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    expect(await client.until(/^HTTP\/1\.1 502/)).not.toBeNull();
  });
});
