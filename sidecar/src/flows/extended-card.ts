/** The extended card by JSON-RPC: the agent's answer with its interface URLs pointing here, like the public card. */
import { rewriteCard } from "../protocol/card.ts";
import { forwardRequestHeaders, forwardResponseHeaders } from "../protocol/headers.ts";
import { parseReply, resultEnvelope } from "../protocol/jsonrpc.ts";
import type { Answer } from "./answer.ts";
import type { FlowContext } from "./flow-context.ts";
import type { Rpc } from "./rpc.ts";

/** Where a client reaches this sidecar, from its own request. */
export interface CardAddress {
  agentUrl: string;
  publicUrl: string | null;
  originOf: (headers: Record<string, string | string[] | undefined>) => string;
}

export async function answerExtendedCard(
  context: FlowContext,
  rpc: Rpc,
  address: CardAddress,
): Promise<Answer | "pass-through"> {
  const { path, headers } = rpc.call.request;
  const forwarded = forwardRequestHeaders(headers);
  delete forwarded["content-length"];
  delete forwarded["content-encoding"];
  const exchange = await context.agent.exchange({ method: "POST", path, headers: forwarded, body: rpc.call.text });
  if (exchange.kind === "events") exchange.events.close();
  if (exchange.kind !== "reply") return "pass-through";
  const { reply } = exchange;
  const parsed = parseReply(reply.body);
  const replyHeaders = forwardResponseHeaders(reply.headers, { bodyChanged: true });
  if (parsed.kind !== "result") return { kind: "json", status: reply.status, headers: replyHeaders, body: reply.body };
  const card = rewriteCard(parsed.result, {
    agentUrl: address.agentUrl,
    publicUrl: address.publicUrl,
    requestOrigin: address.originOf(headers),
  });
  const body = card.changed ? resultEnvelope(rpc.id, card.text) : reply.body;
  return { kind: "json", status: reply.status, headers: replyHeaders, body };
}
