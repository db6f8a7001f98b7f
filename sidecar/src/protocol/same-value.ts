import { charCode, endOfScalar, endOfString, skipSpace } from "./json-scan.ts";

/**
 * Whether two raw values mean the same: whitespace, the order of keys and the spelling of strings do not matter, numbers
 * are compared as they are written (2^53 + 1 stays itself). Absent equals absent only.
 */
export function sameValue(one: string | undefined, other: string | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return canonicalValue(one) === canonicalValue(other);
}

/** An array or object whose end has not been read. */
interface OpenValue {
  elements: string[] | null;
  members: Map<string, string> | null;
  /** Canonical spelling of the key whose value is being read. */
  key: string;
}

/**
 * One spelling for all raw values that mean the same, in one pass and without recursion. For comparing only: it is not
 * what is sent.
 */
export function canonicalValue(source: string): string {
  const open: OpenValue[] = [];
  let at = skipSpace(source, 0);
  for (;;) {
    let value = "";
    const code = source.charCodeAt(at);
    if (code === charCode.openObject || code === charCode.openArray) {
      open.push({
        elements: code === charCode.openArray ? [] : null,
        members: code === charCode.openObject ? new Map() : null,
        key: "",
      });
      at = skipSpace(source, at + 1);
      if (!isClosing(source, at)) {
        at = startOfValue(source, at, open.at(-1));
        continue;
      }
      value = spelling(open.pop());
      at++;
    } else {
      const end = code === charCode.quote ? endOfString(source, at) : endOfScalar(source, at);
      value = code === charCode.quote ? canonicalString(source.slice(at, end)) : source.slice(at, end);
      at = end;
    }
    // The value may be the last one of several that end here.
    for (;;) {
      const parent = open.at(-1);
      if (parent === undefined) return value;
      parent.elements?.push(value);
      parent.members?.set(parent.key, value);
      at = skipSpace(source, at);
      if (source.charCodeAt(at) === charCode.comma) {
        at = startOfValue(source, skipSpace(source, at + 1), parent);
        break;
      }
      value = spelling(open.pop());
      at++;
    }
  }
}

/** Reads the key that an object has before a value. */
function startOfValue(source: string, at: number, parent: OpenValue | undefined): number {
  if (parent === undefined || parent.members === null) return at;
  const end = endOfString(source, at);
  parent.key = canonicalString(source.slice(at, end));
  return skipSpace(source, skipSpace(source, end) + 1);
}

function isClosing(source: string, at: number): boolean {
  const code = source.charCodeAt(at);
  return code === charCode.closeObject || code === charCode.closeArray;
}

/** Joined with `+`, which copies nothing: nested values would be copied once per level. */
function spelling(value: OpenValue | undefined): string {
  let spelt = "";
  for (const element of value?.elements ?? []) spelt += (spelt === "" ? "" : ",") + element;
  if (value?.members == null) return `[${spelt}]`;
  for (const key of [...value.members.keys()].sort()) {
    spelt += `${spelt === "" ? "" : ","}${key}:${value.members.get(key) ?? "null"}`;
  }
  return `{${spelt}}`;
}

function canonicalString(raw: string): string {
  return raw.indexOf("\\") === -1 ? raw : JSON.stringify(JSON.parse(raw));
}
