/** Answers of the server room itself, in the shape of the call: JSON-RPC where the body is a JSON-RPC call, else plain JSON. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { a2aError, type A2aErrorName } from "../protocol/a2a-errors.ts";
import { errorEnvelope, parseCall } from "../protocol/jsonrpc.ts";
import { operationOf } from "../protocol/methods.ts";
import { isJsonType } from "./request-body.ts";

export interface Refusal {
  status: number;
  body: string;
}

/** The agent does not listen, or broke the exchange before it replied. */
export function agentUnreachable(request: IncomingMessage, body: Buffer | null): Refusal {
  const message = "The agent behind this address could not be reached.";
  const speaksJson = request.method === "POST" && isJsonType(request.headers["content-type"]);
  if (!speaksJson) return { status: 502, body: JSON.stringify({ error: message }) };
  return { status: 502, body: rpcError("internal", message, body?.toString("utf8") ?? null) };
}

/** A fault of ours. The cause is logged, not sent. */
export function internalError(text: string | null): Refusal {
  return { status: 500, body: rpcError("internal", "Internal error", text) };
}

/** A body beyond MAX_BODY_BYTES. Nothing of it was read as JSON, so the id is not known. */
export function bodyTooLarge(maxBytes: number): Refusal {
  return { status: 413, body: rpcError("invalid-request", `The request body is larger than ${maxBytes} bytes.`, null) };
}

/** Writes a refusal as a complete reply, if the client can still get one; otherwise the connection ends. */
export function refuse(response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  response.writeHead(refusal.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(refusal.body),
  });
  response.end(refusal.body);
}

function rpcError(name: A2aErrorName, message: string, text: string | null): string {
  const call = text === null ? null : parseCall(text);
  if (call?.kind !== "call") return errorEnvelope(undefined, a2aError("1.0", name, message));
  return errorEnvelope(call.id, a2aError(operationOf(call.method)?.dialect ?? "1.0", name, message));
}
