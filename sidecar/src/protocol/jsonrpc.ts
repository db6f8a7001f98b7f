import { isJson, isObject, member, memberOf, members, oneLine, text } from "./raw-json.ts";

/** A request body. `id` is the raw JSON token, undefined where the member is missing; `text` is the whole body. */
export type ParsedCall =
  | { kind: "call"; id: string | undefined; method: string; params: string | undefined; text: string }
  | { kind: "other" };

/** A response body. Raw slices; `empty` is the reply of SDKs that leave out a null result (Go, Python 0.3). */
export type ParsedReply =
  | { kind: "result"; id: string | undefined; result: string }
  | { kind: "error"; id: string | undefined; error: string; code: number }
  | { kind: "empty"; id: string | undefined }
  | { kind: "other" };

/** Reads a request. `other` (no JSON, a batch, no JSON-RPC 2.0 call) is for the agent to judge: it passes through. */
export function parseCall(body: string): ParsedCall {
  if (!isJson(body)) return { kind: "other" };
  const list = members(body);
  const method = text(memberOf(list, "method"));
  if (method === undefined || text(memberOf(list, "jsonrpc")) !== "2.0") return { kind: "other" };
  const id = memberOf(list, "id");
  return {
    kind: "call",
    id: id === undefined ? undefined : oneLine(id),
    method,
    params: memberOf(list, "params"),
    text: body,
  };
}

/**
 * Reads a response; its slices are on one line. The envelope may lack `id` and `jsonrpc`: Python 0.3 leaves out null
 * members.
 */
export function parseReply(body: string): ParsedReply {
  if (!isJson(body)) return { kind: "other" };
  const list = members(oneLine(body));
  const id = memberOf(list, "id");
  const error = memberOf(list, "error");
  if (isObject(error)) {
    const code = Number(member(error, "code") ?? "0");
    return { kind: "error", id, error, code: Number.isNaN(code) ? 0 : code };
  }
  const result = memberOf(list, "result");
  if (result !== undefined) return { kind: "result", id, result };
  return text(memberOf(list, "jsonrpc")) === "2.0" ? { kind: "empty", id } : { kind: "other" };
}

/** Whether SDK servers take this id: a string, an integer, null, or none. Others get invalid-params, with the id echoed. */
export function isAcceptedId(id: string | undefined): boolean {
  if (id === undefined || id === "null") return true;
  const value: unknown = JSON.parse(id);
  return typeof value === "string" || (typeof value === "number" && Number.isInteger(value));
}

/** A success response on one line; a missing id becomes null. */
export function resultEnvelope(id: string | undefined, result: string): string {
  return `{"jsonrpc":"2.0","id":${id ?? "null"},"result":${result}}`;
}

/** An error response on one line; `error` is the raw error object, a missing id becomes null. */
export function errorEnvelope(id: string | undefined, error: string): string {
  return `{"jsonrpc":"2.0","id":${id ?? "null"},"error":${error}}`;
}

/** A request on one line. `id` and `params` are raw. */
export function callEnvelope(id: string, method: string, params: string | undefined): string {
  const suffix = params === undefined ? "" : `,"params":${params}`;
  return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)}${suffix}}`;
}
