import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { diffJson } from "./json-patch.ts";
import type { JsonPatchOperation } from "./objects.ts";

/** RFC 6902 as an API server carries it out, for add, replace and remove. */
function applyPatch(document: unknown, operations: JsonPatchOperation[]): unknown {
  const root = { document: structuredClone(document) };
  for (const operation of operations) {
    const path = [
      "document",
      ...operation.path
        .split("/")
        .slice(1)
        .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~")),
    ];
    const last = path.pop() ?? "";
    const place = path.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], root) as Record<
      string,
      unknown
    >;
    if (Array.isArray(place)) {
      const index = Number(last);
      if (operation.op === "add") place.splice(index, 0, operation.value);
      else if (operation.op === "remove") place.splice(index, 1);
      else place[index] = operation.value;
    } else if (operation.op === "remove") delete place[last];
    else place[last] = operation.value;
  }
  return root.document;
}

const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes("__proto__"));

describe("diffJson", () => {
  test("leads from one value to the other, whatever they are", () => {
    fc.assert(
      fc.property(json, json, (before, after) => {
        expect(applyPatch(before, diffJson(before, after))).toEqual(after);
      }),
    );
  });

  test("says nothing about equal values", () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(diffJson(value, structuredClone(value))).toEqual([]);
      }),
    );
  });

  const rows: [title: string, before: unknown, after: unknown, operations: JsonPatchOperation[]][] = [
    ["an element at the front is one add", [1, 2], [0, 1, 2], [{ op: "add", path: "/0", value: 0 }]],
    ["an element at the end is one add", [1], [1, 2], [{ op: "add", path: "/1", value: 2 }]],
    ["a removed element is one remove", [1, 2, 3], [1, 3], [{ op: "remove", path: "/1" }]],
    [
      "a key that every object inherits is one like any other",
      { valueOf: 1 },
      {},
      [{ op: "remove", path: "/valueOf" }],
    ],
    ["keys are escaped", {}, { "a/b~c": 1 }, [{ op: "add", path: "/a~1b~0c", value: 1 }]],
    [
      "only the changed leaf is replaced",
      { a: { b: 1, c: 2 } },
      { a: { b: 3, c: 2 } },
      [{ op: "replace", path: "/a/b", value: 3 }],
    ],
  ];
  test.each(rows)("%s", (_title, before, after, operations) => {
    expect(diffJson(before, after)).toEqual(operations);
  });
});
