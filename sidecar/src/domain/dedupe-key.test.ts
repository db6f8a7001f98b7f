import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { objectText, padded } from "../../test/support/json-text.ts";
import { canonicalValue, sameValue } from "../protocol/same-value.ts";
import { dedupeKey, isMintedId, type SendIdentity } from "./dedupe-key.ts";

const uuid = "7f6b2c1e-4d3a-4b58-9c0f-0a1b2c3d4e5f";
const sha256 = (text: string) => createHash("sha256").update(text).digest("base64url");
const keyOf = (more: Partial<SendIdentity> = {}) =>
  dedupeKey(
    { caller: "c", tenant: "", taskId: null, contextId: null, messageId: uuid, message: '{"parts":[]}', ...more },
    sha256,
  );
const ofMessage = (message: string) => keyOf({ message });

describe("P7: which message ids qualify", () => {
  it.each([
    ["a UUID of version 4", uuid, true],
    ["a UUID of version 7", "01976f0e-8f5b-7c3a-bd0e-3f2a1b4c5d6e", true],
    ["a UUID in capitals", uuid.toUpperCase(), true],
    ["a UUID without hyphens, as Python's hex", uuid.replaceAll("-", ""), true],
    ["a ULID", "01ARZ3NDEKTSV4RRFFQ69G5FAV", true],
    ["a ULID in small letters", "01arz3ndektsv4rrffq69g5fav", true],
    ["a name by hand", "m1", false],
    ["a number", "1732099200000", false],
    ["nothing", "", false],
    ["the Nil UUID", "00000000-0000-0000-0000-000000000000", false],
    ["the Max UUID", "ffffffff-ffff-ffff-ffff-ffffffffffff", false],
    ["a UUID with something behind it", `${uuid}-1`, false],
    ["a UUID with a line break behind it", `${uuid}\n`, false],
    ["a UUID with some of its hyphens", uuid.replace("-", ""), false],
    ["a text of a ULID's length beyond its range", "81ARZ3NDEKTSV4RRFFQ69G5FAV", false],
    ["a text with a letter no ULID has", "01ARZ3NDEKTSV4RRFFQ69G5FAU", false],
  ])("%s", (_, messageId, qualifies) => {
    expect(isMintedId(messageId)).toBe(qualifies);
    expect(keyOf({ messageId }) !== null).toBe(qualifies);
  });
});

describe("P7: which sends are one", () => {
  it.each<[string, Partial<SendIdentity>]>([
    ["another caller", { caller: "d" }],
    ["another tenant", { tenant: "t" }],
    ["a task", { taskId: "t" }],
    ["a context", { contextId: "t" }],
    ["another message id", { messageId: "7f6b2c1e-4d3a-4b58-9c0f-0a1b2c3d4e50" }],
    ["another message", { message: '{"parts":[1]}' }],
  ])("%s makes another send", (_, more) => {
    expect(keyOf(more)).not.toBe(keyOf());
  });

  test("the same one has the same key, of one size, that says nothing", () => {
    expect(keyOf()).toBe(keyOf());
    expect(keyOf()).toMatch(/^[\w-]{43}$/);
    expect(keyOf({ caller: "x".repeat(9_999) })).toHaveLength(43);
  });

  test("no part runs into the next", () => {
    expect(keyOf({ caller: "a", tenant: "b" })).not.toBe(keyOf({ caller: "ab", tenant: "" }));
    expect(keyOf({ taskId: "a" })).not.toBe(keyOf({ contextId: "a" }));
    expect(keyOf({ caller: 'a","b' })).not.toBe(keyOf({ caller: "a", tenant: "b" }));
  });
});

describe("P7: what makes a message the same (RFC 8785)", () => {
  it.each([
    ["whitespace", '{"a":[1,2]}', ' { "a" : [ 1 ,\n2 ] } '],
    ["the order of keys", '{"a":1,"b":{"c":2,"d":3}}', '{"b":{"d":3,"c":2},"a":1}'],
    ["escapes", '{"a":"é/\u{1f600}"}', '{"\\u0061":"\\u00e9\\/\\ud83d\\ude00"}'],
    ["the spelling of a number", "[1.5,100,0.001,0,-7]", "[1.50,1E+2,1e-3,-0.0,-7.0e0]"],
    ["the spelling of a long number", "[0.1,1e21]", "[0.1000000000000000000,1000000000000000000000]"],
    ["the order of keys around a number beyond 2^53", '{"a":1,"n":9007199254740993}', '{"n":9007199254740993,"a":1}'],
  ])("%s alone makes no difference", (_, one, other) => {
    expect(ofMessage(one)).toBe(ofMessage(other));
  });

  it.each([
    ["integers beyond 2^53", "[9007199254740992]", "[9007199254740993]"],
    ["their strings", "[9007199254740993]", '["9007199254740993"]'],
    ["their strings behind a NUL", "[9007199254740993]", '["\\u00009007199254740993"]'],
    ["strings behind one NUL and two", '["\\u0000a"]', '["\\u0000\\u0000a"]'],
    ["numbers beyond a double", "[1e400]", "[1e401]"],
    ["numbers beyond a double and null", "[1e400]", "[null]"],
    ["numbers too small for a double", "[1e-400]", "[0]"],
    ["fractions beyond a double", "[0.1]", "[0.10000000000000000001]"],
    ["signs", "[1]", "[-1]"],
    ["the order of elements", "[1,2]", "[2,1]"],
    ["lone surrogates", '["\\ud800"]', '["\\ud801"]'],
    ["a lone surrogate and its replacement", '["\\ud800"]', '["\ufffd"]'],
    ["absent and null", "{}", '{"a":null}'],
    ["a key that is special to JavaScript", '{"__proto__":1}', '{"__proto__":2}'],
  ])("%s make a difference", (_, one, other) => {
    expect(ofMessage(one)).not.toBe(ofMessage(other));
  });

  test("nesting costs no stack", () => {
    const deep = (inner: string) => `${"[".repeat(100_000)}${inner}${"]".repeat(100_000)}`;
    expect(ofMessage(deep("1"))).not.toBe(ofMessage(deep("2")));
  });

  test("texts that mean different things have different keys, and those that mean the same but for numbers the same", () => {
    fc.assert(
      fc.property(padded(objectText), padded(objectText), (one, other) => {
        expect(ofMessage(one)).toBe(ofMessage(canonicalValue(one)));
        fc.pre(sameValue(one, other) || !sameNumbers(one, other));
        expect(ofMessage(one) === ofMessage(other)).toBe(sameValue(one, other));
      }),
      { numRuns: 300 },
    );
  });
});

/** Whether two texts are equal once read as doubles: then only the spelling of a number may tell them apart. */
function sameNumbers(one: string, other: string): boolean {
  return sameValue(JSON.stringify(JSON.parse(one)), JSON.stringify(JSON.parse(other)));
}
