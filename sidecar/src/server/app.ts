/**
 * The A2A side of the sidecar. Fastify owns the server, its limits and its closing; every request is taken out of
 * fastify's own routing and parsing at once, because any path and any body belongs to the agent until proven otherwise.
 */
import { METHODS, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { fastify, type FastifyInstance } from "fastify";
import type { Answer, HandleJsonRpc } from "../flows/answer.ts";
import type { Logger } from "../flows/logger.ts";
import { isCardPath, type CardRoute } from "./card-route.ts";
import { bodyTooLarge, internalError, refuse, type Refusal } from "./error-handler.ts";
import type { PassThrough } from "./pass-through.ts";
import { isJsonType, readBody } from "./request-body.ts";
import { writeSse } from "./sse-reply.ts";

export interface AppDeps {
  handleJsonRpc: HandleJsonRpc;
  passThrough: PassThrough;
  serveCard: CardRoute;
  /** Largest JSON body that is buffered, encoded and decoded. */
  maxBodyBytes: number;
  log: Logger;
  /** Milliseconds between keep-alive comments. Default 15 s. */
  keepAliveMs?: number;
  /** While true every reply is the last on its connection: a client's next request finds another instance (P8). */
  draining?: () => boolean;
}

/** Request line and header fields together. */
const MAX_HEADER_BYTES = 32 * 1024;
/** Longer than the 60 s that load balancers keep idle connections, so that they close first. */
const KEEP_ALIVE_MS = 75_000;
const HEADERS_TIMEOUT_MS = 60_000;
/** How long the rest of a refused body is read and thrown away, so that the client gets to read the refusal. */
const LINGER_MS = 2_000;

/** `listen({ host, port })` and `close()` are fastify's; `close` ends idle connections and waits for the others. */
export function buildApp(deps: AppDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    // While draining, requests are still answered (P8).
    return503OnClosing: false,
    forceCloseConnections: "idle",
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: 0,
    // The target is the agent's: nothing here parses, decodes or normalises it.
    rewriteUrl: () => "/",
    http: { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEADERS_TIMEOUT_MS, ...upgradeChoice },
  });
  for (const method of METHODS) {
    if (method !== "CONNECT" && !app.supportedMethods.includes(method)) app.addHttpMethod(method);
  }
  app.addHook("onRequest", (request, reply, _done) => {
    reply.hijack();
    request.raw.url = request.originalUrl;
    if (deps.draining?.() === true) reply.raw.shouldKeepAlive = false;
    serve(deps, request.raw, reply.raw).catch((error: unknown) => {
      deps.log.error({ err: error }, "a request failed by a bug");
      refuse(reply.raw, internalError(null));
    });
  });
  app.route({ method: app.supportedMethods, url: "/", handler: () => undefined });
  if (Object.keys(upgradeChoice).length > 0) {
    app.server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      deps.passThrough.upgrade(request, socket, head),
    );
  }
  return app;
}

/**
 * Only a WebSocket is an upgrade: Java's HTTP client offers `h2c` on every plain request, which is to be ignored
 * (RFC 9110 §7.8). Node before 24.9 cannot choose; there all upgrades are ignored.
 */
const upgradeChoice = canChooseUpgrades(process.versions.node)
  ? { shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === "websocket" }
  : {};

function canChooseUpgrades(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 24 || (major === 24 && minor >= 9);
}

/** One request: the card, a JSON call, or anything else. */
async function serve(deps: AppDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = "/" } = request;
  if ((method === "GET" || method === "HEAD") && isCardPath(url)) await deps.serveCard(request, response);
  else if (method === "POST" && isJsonType(request.headers["content-type"])) await serveJson(deps, request, response);
  else await deps.passThrough.forward(request, response);
}

async function serveJson(deps: AppDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = await askFlows(deps, request, response);
  // The body is out of scope here: a stream that stays open for hours must not hold it.
  if (answer !== null) await send(deps, response, answer);
}

/** The flows' answer; null when the request was refused or passed through. */
async function askFlows(deps: AppDeps, request: IncomingMessage, response: ServerResponse): Promise<Answer | null> {
  const body = await readBody(request, deps.maxBodyBytes);
  if (body.kind === "aborted") return null;
  if (body.kind === "too-large") {
    refuseUnread(request, response, bodyTooLarge(deps.maxBodyBytes));
    return null;
  }
  const { text, raw } = body;
  if (text === null) {
    await deps.passThrough.forward(request, response, raw);
    return null;
  }
  try {
    const answer = await deps.handleJsonRpc({
      text,
      request: { method: "POST", path: request.url ?? "/", headers: request.headers },
      signal: clientGone(response),
    });
    if (answer !== "pass-through") return answer;
    await deps.passThrough.forward(request, response, raw);
  } catch (error) {
    deps.log.error({ err: error }, "a JSON-RPC call failed by a bug");
    refuse(response, internalError(text));
  }
  return null;
}

async function send(deps: AppDeps, response: ServerResponse, answer: Answer): Promise<void> {
  if (answer.kind === "events") {
    await writeSse(response, answer, deps.keepAliveMs === undefined ? {} : { keepAliveMs: deps.keepAliveMs });
    return;
  }
  if (response.destroyed) return;
  const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
  response.writeHead(answer.status, { ...answer.headers, "content-length": body.length });
  response.end(body);
}

/** Aborts when the connection closes before the reply is complete. */
function clientGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  if (response.destroyed) gone.abort();
  return gone.signal;
}

/**
 * Refuses while the client is still sending. Closing with unread bytes would reset the connection and could take the
 * refusal with it, so the rest is read for a while before the connection ends.
 */
function refuseUnread(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  response.writeHead(refusal.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(refusal.body),
    connection: "close",
  });
  response.write(refusal.body);
  const lingering = setTimeout(() => response.destroy(), LINGER_MS);
  const finish = (): void => {
    clearTimeout(lingering);
    response.end();
  };
  request.once("end", finish).once("close", finish).resume();
}
