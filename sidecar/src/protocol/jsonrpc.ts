export type ParsedCall =
  | { kind: "call"; id: string | undefined; method: string; params: string | undefined; text: string }
  | { kind: "other" };
export type ParsedReply =
  | { kind: "result"; id: string | undefined; result: string }
  | { kind: "error"; id: string | undefined; error: string; code: number }
  | { kind: "empty"; id: string | undefined }
  | { kind: "other" };
export function parseCall(body: string): ParsedCall { throw new Error("unbuilt"); }
export function parseReply(body: string): ParsedReply { throw new Error("unbuilt"); }
/** Whether the id token is one SDK servers accept: string, integer, null or absent. Else answer invalid-params, echoing it. */
export function isAcceptedId(id: string | undefined): boolean { throw new Error("unbuilt"); }
export function resultEnvelope(id: string | undefined, result: string): string { throw new Error("unbuilt"); }
export function errorEnvelope(id: string | undefined, error: string): string { throw new Error("unbuilt"); }
export function callEnvelope(id: string, method: string, params: string | undefined): string { throw new Error("unbuilt"); }
