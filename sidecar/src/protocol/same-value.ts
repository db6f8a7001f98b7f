import { elements, members, quote } from "./raw-json.ts";

/** Deeper than any payload the record takes; below it a difference in spelling counts as one in value. */
const deepest = 256;

/**
 * Whether two raw values mean the same: whitespace, the order of keys and the spelling of strings do not matter, numbers
 * are compared as they are written (2^53 + 1 stays itself). Absent equals absent only.
 */
export function sameValue(one: string | undefined, other: string | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return canonicalValue(one) === canonicalValue(other);
}

/** One spelling for all raw values that mean the same. For comparing only: it is not what is sent. */
export function canonicalValue(value: string, depth = 0): string {
  const trimmed = value.trim();
  const first = trimmed.charAt(0);
  if (first === '"') return quote(JSON.parse(trimmed) as string);
  if (depth >= deepest) return trimmed;
  if (first === "[")
    return `[${elements(trimmed)
      .map((element) => canonicalValue(element, depth + 1))
      .join(",")}]`;
  if (first !== "{") return trimmed;
  const last = new Map(members(trimmed).map((entry) => [entry.key, entry.value]));
  const spelt = [...last].map(([key, raw]) => `${quote(key)}:${canonicalValue(raw, depth + 1)}`);
  return `{${spelt.sort().join(",")}}`;
}
