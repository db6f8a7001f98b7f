import { expect, test } from "vitest";
import { ClusterError, type ClusterFault } from "../ports/cluster.ts";
import type { Action } from "../reconcile/world.ts";
import { findRefusal } from "./refusal.ts";

const stamp: Action = { kind: "stamp", stamp: undefined };
const secret: Action = { kind: "writeSecret", data: { "database-url": "c2VjcmV0" } };
const fail = (fault: ClusterFault, message = "no"): ClusterError => new ClusterError(fault, message);

test.each<[fault: ClusterFault, refused: boolean]>([
  ["forbidden", true],
  ["invalid", true],
  ["conflict", false],
  ["unavailable", false],
  ["tooManyRequests", false],
])("%s: refused is %s", (fault, refused) => {
  expect(findRefusal(stamp, fail(fault), undefined) !== undefined).toBe(refused);
});

test("the first message stays while the same write is refused", () => {
  const first = findRefusal(stamp, fail("forbidden", "request 1 refused"), undefined);
  expect(findRefusal(stamp, fail("forbidden", "request 2 refused"), first)).toEqual(first);
  expect(findRefusal(secret, fail("forbidden", "request 3 refused"), first)?.message).toBe("request 3 refused");
});

test("nothing is quoted of a Secret", () => {
  const refused = findRefusal(secret, fail("invalid", 'data: Invalid value: "c2VjcmV0"'), undefined);
  expect(refused?.message).not.toContain("c2VjcmV0");
});

test("a status that is refused cannot be told in the status", () => {
  expect(findRefusal({ kind: "writeStatus", status: {} }, fail("invalid"), undefined)).toBeUndefined();
});
