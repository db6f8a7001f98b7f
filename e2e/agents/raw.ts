/**
 * An agent without any SDK: every byte it sends is written by hand, in both dialects (the method name tells which).
 *
 * Knobs are words in the message text (see `raw/script.ts`): `count 5 every 10ms crlf status-first odd big`.
 * Flags of the process: `--counted-ids`, `--no-streaming` (-32004), `--no-stream-method` (-32601),
 * `--subscribe-needs-execution`, `--token` (401 without `Bearer fixture`), `--old-card`, `--signed`.
 * Paths beside A2A: `/echo` gives the request back, `/status/418` answers with that status.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AgentOptions } from "./agent-process.ts";
import { announceReady, listeningPort, readAgentOptions } from "./agent-process.ts";
import { sliceMember } from "./raw/raw-json.ts";
import { RawRpc, replyError } from "./raw/rpc.ts";

/** The credential `--token` asks for. */
const TOKEN = "Bearer fixture";

interface Flags {
  has(flag: string): boolean;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

async function answerRpc(rpc: RawRpc, body: string, response: ServerResponse): Promise<void> {
  let parsed: { method?: unknown; params?: object } | unknown[] | null;
  try {
    parsed = JSON.parse(body);
  } catch {
    return replyError({ rawId: "null", response }, -32700, "Parse error");
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    return replyError({ rawId: "null", response }, -32600, "Batches are not supported");
  }
  const rawId = sliceMember(body, ["id"]) ?? "null";
  await rpc.answer({ body, rawId, method: String(parsed.method), params: parsed.params ?? {}, response });
}

function answerOther(request: IncomingMessage, body: string, response: ServerResponse): void {
  const path = request.url ?? "/";
  const status = /^\/status\/(\d{3})$/.exec(path)?.[1];
  if (status !== undefined) {
    response.writeHead(Number(status), { "content-type": "text/plain", "x-agent": "raw" });
    response.end(status === "204" || status === "304" ? undefined : `status ${status}`);
    return;
  }
  if (!path.startsWith("/echo")) {
    response.writeHead(404, { "content-type": "text/html" });
    response.end("<h1>not here</h1>");
    return;
  }
  response.writeHead(200, { "content-type": "application/json", "set-cookie": ["a=1; Path=/", "b=2; HttpOnly"] });
  response.end(JSON.stringify({ method: request.method, path, rawHeaders: request.rawHeaders, body }));
}

/** The card, of either version; `--signed` adds a signature and interfaces a sidecar must not touch. */
function cardText(baseUrl: string, flags: Flags): string {
  const streaming = !flags.has("no-streaming") && !flags.has("no-stream-method");
  const common = {
    name: "Raw agent",
    description: "A fixture without an SDK.",
    version: "1.0.0",
    capabilities: { streaming, pushNotifications: false },
    defaultInputModes: ["text/plain"],
    defaultOutputModes: ["text/plain"],
    skills: [],
    ...(flags.has("signed") && { signatures: [{ protected: "eyJhbGciOiJFUzI1NiJ9", signature: "c2lnbmVk" }] }),
  };
  if (flags.has("old-card")) {
    return JSON.stringify({
      ...common,
      protocolVersion: "0.3.0",
      url: `${baseUrl}/rpc`,
      preferredTransport: "JSONRPC",
    });
  }
  const foreign = [
    { url: "localhost:50051", protocolBinding: "GRPC", protocolVersion: "1.0" },
    { url: "https://agents.example.com/rpc", protocolBinding: "JSONRPC", protocolVersion: "1.0" },
  ];
  return JSON.stringify({
    ...common,
    supportedInterfaces: [
      { url: `${baseUrl}/rpc`, protocolBinding: "JSONRPC", protocolVersion: "1.0" },
      ...(flags.has("signed") ? foreign : []),
    ],
  });
}

async function answer(rpc: RawRpc, options: AgentOptions, request: IncomingMessage, response: ServerResponse) {
  const body = await readBody(request);
  if (request.url === "/.well-known/agent-card.json") {
    const baseUrl = options.publicUrl ?? `http://localhost:${request.socket.localPort}`;
    response.writeHead(200, { "content-type": "application/json", etag: 'W/"raw-1"' });
    response.end(cardText(baseUrl, options.flags));
    return;
  }
  const isRpc = request.method === "POST" && (request.url === "/" || request.url === "/rpc");
  if (!isRpc) return answerOther(request, body, response);
  if (options.flags.has("token") && request.headers.authorization !== TOKEN) {
    response.writeHead(401, { "www-authenticate": 'Bearer realm="agent"', "content-type": "application/json" });
    response.end('{"error":"unauthorized"}');
    return;
  }
  await answerRpc(rpc, body, response);
}

function main(): void {
  const options = readAgentOptions([
    "counted-ids",
    "no-streaming",
    "no-stream-method",
    "subscribe-needs-execution",
    "token",
    "old-card",
    "signed",
  ]);
  const rpc = new RawRpc({
    streamRefusal: options.flags.has("no-streaming") ? -32004 : options.flags.has("no-stream-method") ? -32601 : null,
    countedIds: options.flags.has("counted-ids"),
    subscribeNeedsExecution: options.flags.has("subscribe-needs-execution"),
  });
  const server = createServer((request, response) => {
    answer(rpc, options, request, response).catch((error: unknown) => {
      process.stderr.write(`raw agent: ${String(error)}\n`);
      response.destroy();
    });
  });
  server.listen(options.port, options.host, () => announceReady("raw", listeningPort(server)));
}

main();
