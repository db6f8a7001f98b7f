/**
 * The key that makes a retried send one task (P7): the same caller, tenant, task or context, `messageId` and message. Only
 * message ids that a program minted qualify; "m1" written by hand is a new message each time.
 */
import canonicalize from "canonicalize";
import { charCode, endOfScalar, endOfString, skipSpace } from "../protocol/json-scan.ts";
import { type Edit, splice } from "../protocol/raw-json.ts";
import { canonicalValue } from "../protocol/same-value.ts";

/** What a send is told by. The ids are those the message names itself; "" or null where it names none. */
export interface SendIdentity {
  caller: string;
  tenant: string;
  taskId: string | null;
  contextId: string | null;
  messageId: string;
  /** Raw `params.message`. */
  message: string;
}

/** RFC 9562 §4, with or without hyphens: Python's `uuid4().hex` has none. */
const uuid = /^[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}$/i;
/** The Nil and Max UUIDs (RFC 9562 §5.9, §5.10) are placeholders. */
const placeholder = /^[0-]+$|^[f-]+$/i;
const ulid = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/i;

/**
 * The key of a send, null where its message id does not qualify. `digest` is SHA-256 in any text form; the key is its
 * output, so it has a fixed size and shows nothing of the caller or the message (I9).
 */
export function dedupeKey(send: SendIdentity, digest: (text: string) => string): string | null {
  const { messageId } = send;
  if (!isMintedId(messageId)) return null;
  const message = digest(canonicalMessage(send.message));
  return digest(
    JSON.stringify([send.caller, send.tenant, send.taskId ?? "", send.contextId ?? "", messageId, message]),
  );
}

/** Whether a message id is one that a program minted so that no other is like it. */
export function isMintedId(messageId: string): boolean {
  return (uuid.test(messageId) && !placeholder.test(messageId)) || ulid.test(messageId);
}

/**
 * RFC 8785 canonical form, so that the order of keys, whitespace and the spelling of strings do not matter. A number that
 * a double cannot hold keeps its digits: JSON.parse would make different messages one.
 */
function canonicalMessage(message: string): string {
  try {
    return canonicalize(JSON.parse(withoutLossyNumbers(message))) ?? "";
  } catch {
    // RFC 8785 has no form for lone surrogates. No canonical form begins like this one.
    return `\u0000${canonicalValue(message)}`;
  }
}

/**
 * The text with each number that would lose digits as a string of its digits behind a NUL. Strings that begin with a NUL
 * get a second one, so that none is mistaken for such a number.
 */
function withoutLossyNumbers(json: string): string {
  const edits: Edit[] = [];
  let at = skipSpace(json, 0);
  while (at < json.length) {
    const code = json.charCodeAt(at);
    if (code === charCode.quote) {
      if (json.startsWith("\\u0000", at + 1)) edits.push({ start: at + 1, end: at + 1, text: "\\u0000" });
      at = endOfString(json, at);
    } else if (isNumberStart(code)) {
      const end = endOfScalar(json, at);
      const source = json.slice(at, end);
      if (losesDigits(source)) edits.push({ start: at, end, text: `"\\u0000${source}"` });
      at = end;
    } else {
      at++;
    }
  }
  return splice(json, edits);
}

function isNumberStart(code: number): boolean {
  return code === 0x2d || (code >= 0x30 && code <= 0x39);
}

/** Whether a number, read as a double and written again, is another number. */
function losesDigits(source: string): boolean {
  // Up to 15 digits every decimal survives a double.
  if (source.length <= 15 && !/[eE]/.test(source)) return false;
  return decimal(source) !== decimal(String(Number(source)));
}

/** One spelling for all spellings of a decimal number; the text itself where it is none ("Infinity"). */
function decimal(source: string): string {
  const found = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source);
  if (found === null) return source;
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = found;
  const digits = `${whole}${fraction}`.replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  if (significant === "") return "0";
  const scale = BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${sign}${significant}e${scale}`;
}
