/**
 * The agent's card with the URLs through which clients reach this sidecar. The agent is asked without conditions, so
 * that there is a card to rewrite; conditions of the client are answered here, about the card it gets.
 */
import { hash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "../flows/logger.ts";
import type { Agent, AgentReply } from "../ports/agent.ts";
import { etagOf, rewriteCard } from "../protocol/card.ts";
import { forwardResponseHeaders, turnHeaders, type Headers } from "../protocol/headers.ts";
import { requestOrigin } from "../protocol/request-origin.ts";
import { agentUnreachable, refuse } from "./error-handler.ts";
import type { PassThrough } from "./pass-through.ts";

export interface CardRouteDeps {
  agent: Agent;
  passThrough: PassThrough;
  agentUrl: string;
  publicUrl: string | null;
  log: Logger;
  /** Interfaces of the card that bypass the record. */
  onGrpcInterfaces: (count: number) => void;
  onSignaturesDropped: () => void;
}

export type CardRoute = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Well-known cards (a2a §8.2 and before 0.3), and extended cards over HTTP in 0.3 and 1.0; under any prefix. */
const CARD_PATH =
  /\/(?:\.well-known\/agent-card\.json|\.well-known\/agent\.json|agent\/authenticatedExtendedCard|extendedAgentCard|v1\/card)$/;

/** What a card depends on whose URLs are those the client used. */
const ORIGIN_FIELDS = ["Host", "X-Forwarded-Host", "X-Forwarded-Proto"];

/** Whether a GET of this request target asks for an agent card. */
export function isCardPath(target: string): boolean {
  return CARD_PATH.test(target.split("?", 1)[0] ?? "");
}

export function createCardRoute(deps: CardRouteDeps): CardRoute {
  return async (request, response) => {
    const accept = request.headers.accept;
    const headers = turnHeaders(request.headers);
    const exchange = await deps.agent.exchange({
      method: "GET",
      path: request.url ?? "/",
      headers: accept === undefined ? headers : { ...headers, accept },
      body: null,
    });
    if (exchange.kind === "events") {
      exchange.events.close();
      await deps.passThrough.forward(request, response);
    } else if (exchange.kind === "failed") {
      deps.log.warn({ end: exchange.end }, "the agent gave no card");
      refuse(response, agentUnreachable(request, null));
    } else sendReply(request, response, rewrite(deps, request, exchange.reply));
  };
}

interface CardReply {
  status: number;
  headers: Headers;
  body: string | Uint8Array;
}

function rewrite(deps: CardRouteDeps, request: IncomingMessage, reply: AgentReply): CardReply {
  const { status } = reply;
  const asReceived = { status, headers: forwardResponseHeaders(reply.headers), body: reply.bytes ?? reply.body };
  if (status !== 200 || reply.bytes !== undefined) return asReceived;
  const { agentUrl, publicUrl } = deps;
  const card = rewriteCard(reply.body, { agentUrl, publicUrl, requestOrigin: requestOrigin(request.headers) });
  deps.onGrpcInterfaces(card.grpcInterfaces);
  if (card.signaturesDropped) deps.onSignaturesDropped();
  const headers = forwardResponseHeaders(reply.headers, { bodyChanged: card.changed });
  if (card.changed) headers["etag"] = etagOf(card.text, (text) => hash("sha256", text, "base64url"));
  if (card.originDependent) headers["vary"] = withVary(headers["vary"], ORIGIN_FIELDS);
  return { status, headers, body: card.changed ? card.text : reply.body };
}

function sendReply(request: IncomingMessage, response: ServerResponse, reply: CardReply): void {
  if (response.destroyed) return;
  response.sendDate = reply.headers["date"] === undefined;
  const etag = reply.headers["etag"];
  if (reply.status === 200 && typeof etag === "string" && matches(request.headers["if-none-match"], etag)) {
    const { "content-length": _length, "content-type": _type, ...headers } = reply.headers;
    response.writeHead(304, headers).end();
    return;
  }
  const body = typeof reply.body === "string" ? Buffer.from(reply.body) : reply.body;
  response.writeHead(reply.status, { ...reply.headers, "content-length": body.length });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** If-None-Match compares weakly (RFC 9110 §13.1.2). */
function matches(condition: string | undefined, etag: string): boolean {
  if (condition === undefined) return false;
  const opaque = (tag: string): string => tag.trim().replace(/^W\//, "");
  return condition.trim() === "*" || condition.split(",").some((tag) => opaque(tag) === opaque(etag));
}

function withVary(vary: string | string[] | undefined, names: readonly string[]): string {
  const listed = [vary ?? []]
    .flat()
    .join(",")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const known = new Set(listed.map((name) => name.toLowerCase()));
  return [...listed, ...names.filter((name) => !known.has(name.toLowerCase()))].join(", ");
}
