/** The difference of two JSON values as RFC 6902 operations. */
import { isDeepStrictEqual } from "node:util";
import type { JsonPatchOperation } from "./objects.ts";

/**
 * Operations that turn `before` into `after`; empty when they are equal. Lists are compared by their common head and
 * tail, so that an inserted element is one `add` and the other elements are not mentioned.
 */
export function diffJson(before: unknown, after: unknown, path = ""): JsonPatchOperation[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) return diffLists(before, after, path);
  if (isRecord(before) && isRecord(after)) return diffRecords(before, after, path);
  return [{ op: "replace", path, value: after }];
}

function diffRecords(
  before: Record<string, unknown>,
  after: Record<string, unknown>,
  path: string,
): JsonPatchOperation[] {
  const operations: JsonPatchOperation[] = [];
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) operations.push({ op: "remove", path: `${path}/${escapePointer(key)}` });
  }
  for (const [key, value] of Object.entries(after)) {
    const child = `${path}/${escapePointer(key)}`;
    if (Object.hasOwn(before, key)) operations.push(...diffJson(before[key], value, child));
    else operations.push({ op: "add", path: child, value });
  }
  return operations;
}

function diffLists(before: unknown[], after: unknown[], path: string): JsonPatchOperation[] {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && isDeepStrictEqual(before[head], after[head])) head += 1;
  let tail = 0;
  while (tail < shorter - head && isDeepStrictEqual(before.at(-1 - tail), after.at(-1 - tail))) tail += 1;
  const operations: JsonPatchOperation[] = [];
  const beforeEnd = before.length - tail;
  const afterEnd = after.length - tail;
  const shared = Math.min(beforeEnd, afterEnd);
  for (let index = head; index < shared; index += 1) {
    operations.push(...diffJson(before[index], after[index], `${path}/${index}`));
  }
  for (let index = beforeEnd - 1; index >= shared; index -= 1)
    operations.push({ op: "remove", path: `${path}/${index}` });
  for (let index = shared; index < afterEnd; index += 1) {
    operations.push({ op: "add", path: `${path}/${index}`, value: after[index] });
  }
  return operations;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** RFC 6901 §3. */
function escapePointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
