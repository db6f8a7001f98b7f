import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { padded, valueText } from "../../test/support/json-text.ts";
import { JsonObject } from "./json-object.ts";
import { isJson } from "./raw-json.ts";
import { canonicalValue, sameValue } from "./same-value.ts";

describe("values are compared, not texts", () => {
  it.each([
    ["whitespace", '{"a":[1,2]}', ' { "a" : [ 1 , 2 ] } ', true],
    ["key order", '{"a":1,"b":2}', '{"b":2,"a":1}', true],
    ["key order, deep within", '[{"a":{"x":1,"y":2}}]', '[{"a":{"y":2,"x":1}}]', true],
    ["the spelling of strings", '"é\\/"', '"\\u00e9/"', true],
    ["the spelling of keys", '{"\\u0061":1}', '{"a":1}', true],
    ["the last of duplicates", '{"a":1,"a":2}', '{"a":2}', true],
    ["the order of elements", "[1,2]", "[2,1]", false],
    ["integers above 2^53", "9007199254740992", "9007199254740993", false],
    ["the spelling of numbers", "1", "1.0", false],
    ["a string and a number", '"1"', "1", false],
    ["null and nothing", "null", undefined, false],
    ["nothing and nothing", undefined, undefined, true],
    ["a comma within a key", '{"a":1,"b,":2}', '{"a,":1,"b":2}', false],
  ])("%s", (_, one, other, same) => {
    expect(sameValue(one, other)).toBe(same);
    expect(sameValue(other, one)).toBe(same);
  });

  test("a text means the same as itself without its whitespace, and the spelling is JSON", () => {
    fc.assert(
      fc.property(padded(valueText), (text) => {
        const canonical = canonicalValue(text);
        expect(isJson(canonical)).toBe(true);
        expect(JSON.parse(canonical)).toEqual(JSON.parse(text));
        expect(canonicalValue(canonical)).toBe(canonical);
      }),
    );
  });

  test("a value nested a hundred thousand deep is compared without running out of stack", () => {
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    expect(sameValue(deep, ` ${deep}`)).toBe(true);
    expect(sameValue(deep, `[${deep}]`)).toBe(false);
  });
});

describe("an object that is changed member by member", () => {
  test("keeps places, raw keys and raw values", () => {
    const object = JsonObject.parse('{"\\u0061":1.0,"b":2, "c":3}');
    object.set("a", "9007199254740993");
    object.merge('{"d":"\\/","b":{ }}');
    expect(object.text()).toBe('{"\\u0061":9007199254740993,"b":{ },"c":3,"d":"\\/"}');
    expect(object.get("a")).toBe("9007199254740993");
    expect(object.has("e")).toBe(false);
    expect(object.text((key, value) => (key === "b" ? null : value))).not.toContain('"b"');
  });

  test("its text parses to what its source parses to, and its length is about that of the text", () => {
    fc.assert(
      fc.property(valueText, (text) => {
        const parsed: unknown = JSON.parse(text);
        const object = JsonObject.parse(text);
        const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
        expect(JSON.parse(object.text())).toEqual(isObject ? parsed : {});
        expect(Math.abs(object.length - object.text().length)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
