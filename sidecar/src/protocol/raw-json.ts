/**
 * Slices of JSON text. Everything here takes text that `JSON.parse` accepts (see {@link isJson}) and cuts or splices it
 * without writing it anew, so that integers above 2^53, key order, duplicate keys and escapes survive byte for byte.
 *
 * On text that is no JSON every function still ends, with an answer that means nothing or a SyntaxError.
 */
import { charCode, endOfString, endOfValue, skipSpace } from "./json-scan.ts";

/** One member of an object. `start` and `end` bound the value, `keyStart` and `keyEnd` the key with its quotes. */
export interface RawMember {
  key: string;
  value: string;
  keyStart: number;
  keyEnd: number;
  start: number;
  end: number;
}

/** A replacement of `text` for what stands between `start` and `end`. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** Whether `JSON.parse` accepts the text. Everything that comes from outside is asked this once. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** How deep arrays and objects are nested; 0 for a scalar. */
export function nestingDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === charCode.quote) {
      at = endOfString(text, at) - 1;
    } else if (code === charCode.openObject || code === charCode.openArray) {
      depth++;
      if (depth > deepest) deepest = depth;
    } else if (code === charCode.closeObject || code === charCode.closeArray) {
      depth--;
    }
  }
  return deepest;
}

/** Whether the raw value is an object. Leading whitespace is allowed for. */
export function isObject(value: string | undefined): value is string {
  return value !== undefined && value.charCodeAt(skipSpace(value, 0)) === charCode.openObject;
}

/** Whether the raw value is an array. Leading whitespace is allowed for. */
export function isArray(value: string | undefined): value is string {
  return value !== undefined && value.charCodeAt(skipSpace(value, 0)) === charCode.openArray;
}

/** The members of an object in their order, duplicates included; none when the value is not an object. */
export function members(objectText: string): RawMember[] {
  const found: RawMember[] = [];
  let at = skipSpace(objectText, 0);
  if (objectText.charCodeAt(at) !== charCode.openObject) return found;
  at = skipSpace(objectText, at + 1);
  while (objectText.charCodeAt(at) === charCode.quote) {
    const keyStart = at;
    const keyEnd = endOfString(objectText, at);
    // The colon stands between the key and its value.
    const start = skipSpace(objectText, skipSpace(objectText, keyEnd) + 1);
    const end = endOfValue(objectText, start);
    const key = decodeKey(objectText, keyStart, keyEnd);
    found.push({ key, value: objectText.slice(start, end), keyStart, keyEnd, start, end });
    at = skipSpace(objectText, end);
    if (objectText.charCodeAt(at) !== charCode.comma) break;
    at = skipSpace(objectText, at + 1);
  }
  return found;
}

/** The elements of an array as raw slices; none when the value is not an array. */
export function elements(arrayText: string): string[] {
  const found: string[] = [];
  let at = skipSpace(arrayText, 0);
  if (arrayText.charCodeAt(at) !== charCode.openArray) return found;
  at = skipSpace(arrayText, at + 1);
  if (arrayText.charCodeAt(at) === charCode.closeArray) return found;
  while (at < arrayText.length) {
    const end = endOfValue(arrayText, at);
    found.push(arrayText.slice(at, end));
    at = skipSpace(arrayText, end);
    if (arrayText.charCodeAt(at) !== charCode.comma) break;
    at = skipSpace(arrayText, at + 1);
  }
  return found;
}

/** The raw value of a member. Of duplicates the last one counts, as for `JSON.parse`. */
export function member(objectText: string, key: string): string | undefined {
  return memberOf(members(objectText), key);
}

/** {@link member} on members that are at hand already. */
export function memberOf(list: readonly RawMember[], key: string): string | undefined {
  for (let index = list.length - 1; index >= 0; index--) {
    const candidate = list[index];
    if (candidate?.key === key) return candidate.value;
  }
  return undefined;
}

/** The object with the member's value replaced where it stands (the one that counts), or appended as the last member. */
export function setMember(objectText: string, key: string, rawValue: string): string {
  const list = members(objectText);
  for (let index = list.length - 1; index >= 0; index--) {
    const found = list[index];
    if (found?.key === key) return objectText.slice(0, found.start) + rawValue + objectText.slice(found.end);
  }
  const last = list.at(-1);
  const added = `${quote(key)}:${rawValue}`;
  if (last !== undefined) return `${objectText.slice(0, last.end)},${added}${objectText.slice(last.end)}`;
  const open = objectText.indexOf("{") + 1;
  return objectText.slice(0, open) + added + objectText.slice(open);
}

/** The object without any member of that name; the same string when it has none. */
export function removeMember(objectText: string, key: string): string {
  const list = members(objectText);
  const kept = list.filter((entry) => entry.key !== key);
  if (kept.length === list.length) return objectText;
  if (kept.length === 0) return "{}";
  const edits: Edit[] = [];
  let lastKept: RawMember | undefined;
  list.forEach((entry, index) => {
    if (entry.key !== key) {
      lastKept = entry;
      return;
    }
    const next = list[index + 1];
    // With a kept member before it the comma in front goes, else the comma behind.
    if (lastKept !== undefined) edits.push({ start: list[index - 1]?.end ?? 0, end: entry.end, text: "" });
    else if (next !== undefined) edits.push({ start: entry.keyStart, end: next.keyStart, text: "" });
  });
  return splice(objectText, edits);
}

/** Applies replacements that are in order and do not overlap; the same string when there are none. */
export function splice(text: string, edits: readonly Edit[]): string {
  if (edits.length === 0) return text;
  let spliced = "";
  let at = 0;
  for (const edit of edits) {
    spliced += text.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return spliced + text.slice(at);
}

/** The decoded string, or undefined where the raw value is absent or not a string. */
export function text(value: string | undefined): string | undefined {
  if (value === undefined || value.charCodeAt(skipSpace(value, 0)) !== charCode.quote) return undefined;
  // JSON.parse and not a slice: a slice would keep the whole text it was cut from in memory.
  return JSON.parse(value) as string;
}

/** The JSON text of a string. */
export function quote(value: string): string {
  return JSON.stringify(value);
}

/** The text with line breaks made spaces. In JSON they are legal only between tokens, so the value stays the same. */
export function oneLine(jsonText: string): string {
  if (jsonText.indexOf("\n") === -1 && jsonText.indexOf("\r") === -1) return jsonText;
  return jsonText.replace(/[\r\n]/g, " ");
}

function decodeKey(source: string, keyStart: number, keyEnd: number): string {
  const raw = source.slice(keyStart + 1, keyEnd - 1);
  return raw.indexOf("\\") === -1 ? raw : (JSON.parse(source.slice(keyStart, keyEnd)) as string);
}
