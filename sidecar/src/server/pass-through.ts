/**
 * The way for everything the sidecar does not need to understand (P10): streams both ways as fast as the slower side,
 * field by field as received but for the hop-by-hop ones, body bytes untouched. Only here does a client that goes away
 * also end the exchange with the agent: nothing of it is recorded.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect as connectTcp, isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { Dispatcher } from "undici";
import type { Logger } from "../flows/logger.ts";
import { forwardRequestHeaders, forwardResponseHeaders } from "../protocol/headers.ts";
import { agentUnreachable } from "./error-handler.ts";

export interface PassThroughDeps {
  pool: Dispatcher;
  /** AGENT_URL; its path, if any, is put before every request target. */
  agentUrl: string;
  log: Logger;
}

export interface PassThrough {
  /**
   * Sends the request on and the reply back. `body` = bytes already read from the request. Resolves when the exchange is
   * over; never rejects. An agent that cannot be reached is a 502; a reply that breaks off breaks off here too.
   */
  forward(request: IncomingMessage, response: ServerResponse, body?: Buffer): Promise<void>;
  /** Joins the two sockets of an upgraded connection (WebSocket). */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export function createPassThrough(deps: PassThroughDeps): PassThrough {
  const agent = new URL(deps.agentUrl);
  const prefix = agent.pathname.replace(/\/$/, "");
  return {
    forward: (request, response, body) =>
      new Promise((resolve) => {
        const relay = new ReplyRelay({ request, response, body: body ?? null, log: deps.log, done: resolve });
        const options = {
          method: request.method ?? "GET",
          path: prefix + (request.url ?? "/"),
          headers: requestFields(request),
          body: body ?? (hasBody(request) ? request : null),
        };
        try {
          deps.pool.dispatch(options as Dispatcher.DispatchOptions, relay);
        } catch (error) {
          relay.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
        }
      }),
    upgrade: (request, socket, head) => joinSockets({ agent, prefix, log: deps.log }, request, { socket, head }),
  };
}

interface Relayed {
  request: IncomingMessage;
  response: ServerResponse;
  body: Buffer | null;
  log: Logger;
  done: () => void;
}

const ASCII = /^[\x20-\x7e\t]*$/;

/** The agent's reply, written to the client as it comes. */
class ReplyRelay implements Dispatcher.DispatchHandler {
  readonly #exchange: Relayed;
  #controller: Dispatcher.DispatchController | null = null;
  #gone = false;
  #bodyBegun = false;

  constructor(exchange: Relayed) {
    this.#exchange = exchange;
    exchange.response.once("close", () => this.#clientClosed());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#gone) controller.abort(new Error("the client is gone"));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
    statusMessage?: string,
  ): void {
    const { response } = this.#exchange;
    if (status < 200 || response.destroyed) return;
    const kept = new Set(Object.keys(forwardResponseHeaders(headers)));
    // The agent's own Date, or none: it is not this hop's to add.
    response.sendDate = false;
    const fields = keptFields(rawPairs(controller.rawHeaders, headers), kept);
    response.writeHead(status, statusMessage ?? "", fields);
    // A body that came along takes the head with it. Node flushes a lone head as UTF-8, which would change other bytes:
    // such a head waits for the first byte of its body.
    if (fields.every((text) => ASCII.test(text))) process.nextTick(() => this.#flushHead());
  }

  #flushHead(): void {
    const { response } = this.#exchange;
    if (!this.#bodyBegun && !response.writableEnded && !response.destroyed) response.flushHeaders();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { response } = this.#exchange;
    this.#bodyBegun = true;
    if (response.destroyed || response.write(chunk)) return;
    controller.pause();
    response.once("drain", () => controller.resume());
  }

  onResponseEnd(): void {
    this.#exchange.response.end();
    this.#exchange.done();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const { request, response, body, log, done } = this.#exchange;
    if (!response.headersSent && !this.#gone) {
      log.warn({ code: "code" in error ? error.code : error.name }, "the agent could not be reached or gave no reply");
      const refusal = agentUnreachable(request, body);
      response.writeHead(refusal.status, { "content-type": "application/json", connection: "close" });
      response.end(refusal.body);
    } else response.destroy();
    done();
  }

  #clientClosed(): void {
    if (this.#exchange.response.writableFinished) return;
    this.#gone = true;
    this.#controller?.abort(new Error("the client is gone"));
    this.#exchange.done();
  }
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
}

/** Name, value, name, value … as received, with the Host the client used and what proxies say about the first hop. */
function requestFields(request: IncomingMessage): string[] {
  const kept = new Set(Object.keys(forwardRequestHeaders(request.headers)));
  kept.add("host");
  kept.delete("x-forwarded-for");
  return [...keptFields(pairsOf(request.rawHeaders), kept), ...forwardedFields(request)];
}

/** `X-Forwarded-For` gets the peer appended; host and protocol are told only where no earlier hop has told them. */
function forwardedFields(request: IncomingMessage): string[] {
  const { headers, socket } = request;
  const earlier = headers["x-forwarded-for"];
  const peer = socket.remoteAddress ?? "unknown";
  const fields = ["x-forwarded-for", earlier === undefined ? peer : `${String(earlier)}, ${peer}`];
  if (headers["x-forwarded-proto"] === undefined) fields.push("x-forwarded-proto", "http");
  if (headers["x-forwarded-host"] === undefined && headers.host !== undefined) {
    fields.push("x-forwarded-host", headers.host);
  }
  return fields;
}

function keptFields(pairs: Iterable<readonly [string, string]>, kept: ReadonlySet<string>): string[] {
  const fields: string[] = [];
  for (const [name, value] of pairs) if (kept.has(name.toLowerCase())) fields.push(name, value);
  return fields;
}

function* pairsOf(flat: readonly (string | Buffer)[]): Generator<readonly [string, string]> {
  for (let index = 0; index + 1 < flat.length; index += 2) yield [latin1(flat[index]), latin1(flat[index + 1])];
}

function latin1(text: string | Buffer | undefined): string {
  return typeof text === "string" ? text : (text?.toString("latin1") ?? "");
}

/** undici hands the fields over as received when it has them; else its parsed view has to do. */
function rawPairs(
  raw: Dispatcher.DispatchController["rawHeaders"],
  parsed: Record<string, string | string[] | undefined>,
): Iterable<readonly [string, string]> {
  if (Array.isArray(raw)) return pairsOf(raw);
  return Object.entries(parsed).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one): [string, string] => [name, one]),
  );
}

function joinSockets(
  upstream: { agent: URL; prefix: string; log: Logger },
  request: IncomingMessage,
  client: { socket: Duplex; head: Buffer },
): void {
  const { agent, prefix, log } = upstream;
  const { socket, head } = client;
  const secure = agent.protocol === "https:";
  const host = agent.hostname.replace(/^\[|\]$/g, "");
  const port = Number(agent.port === "" ? (secure ? 443 : 80) : agent.port);
  const target = secure
    ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}) })
    : connectTcp({ host, port });
  target.setNoDelay(true);
  target.once(secure ? "secureConnect" : "connect", () => {
    target.write(upgradeHead(request, prefix), "latin1");
    if (head.length > 0) target.write(head);
    socket.pipe(target).pipe(socket);
  });
  target.once("error", (error) => {
    log.warn({ code: "code" in error ? error.code : error.name }, "an upgraded connection to the agent broke");
    if (target.bytesRead === 0 && socket.writable)
      socket.end("HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    else socket.destroy();
  });
  socket.once("error", () => target.destroy());
  socket.once("close", () => target.destroy());
  target.once("close", () => socket.end());
}

/** Request line and every field, the hop-by-hop ones too: they ask for the upgrade. */
function upgradeHead(request: IncomingMessage, prefix: string): string {
  const lines = [`${request.method ?? "GET"} ${prefix}${request.url ?? "/"} HTTP/1.1`];
  for (const [name, value] of pairsOf(request.rawHeaders)) {
    if (name.toLowerCase() !== "x-forwarded-for") lines.push(`${name}: ${value}`);
  }
  const forwarded = forwardedFields(request);
  for (const [name, value] of pairsOf(forwarded)) lines.push(`${name}: ${value}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}
