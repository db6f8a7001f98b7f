/** What a payload must satisfy before it is queued for the record, so that one bad event never fails a batch. */
import { nestingDepth } from "../protocol/raw-json.ts";

/** Deeper JSON overflows the parsers of SDK clients. */
const MAX_DEPTH = 512;

/** Why the payload cannot be recorded, in words that may be shown; null when it can. Raw NUL is illegal in JSON text. */
export function checkPayload(payload: string, maxChars: number): string | null {
  if (payload.length > maxChars) return `it is larger than ${maxChars} characters`;
  if (payload.includes("\0")) return "it holds a NUL byte";
  if (nestingDepth(payload) > MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH} levels`;
  return null;
}
