import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { arrayText, objectText, padded, stringText, valueText } from "../../test/support/json-text.ts";
import {
  elements,
  isArray,
  isJson,
  isObject,
  member,
  members,
  nestingDepth,
  oneLine,
  quote,
  removeMember,
  setMember,
  splice,
  text,
} from "./raw-json.ts";

describe("slices of JSON text", () => {
  test("the members are those JSON.parse finds, and their slices parse to its values", () => {
    fc.assert(
      fc.property(padded(objectText), (source) => {
        const parsed = JSON.parse(source) as Record<string, unknown>;
        const found = members(source);
        expect(new Set(found.map((entry) => entry.key))).toEqual(new Set(Object.keys(parsed)));
        for (const key of Object.keys(parsed)) {
          expect(JSON.parse(member(source, key) ?? "")).toEqual(parsed[key]);
        }
        for (const entry of found) {
          expect(source.slice(entry.start, entry.end)).toBe(entry.value);
          expect(JSON.parse(source.slice(entry.keyStart, entry.keyEnd))).toBe(entry.key);
          expect(entry.value.trim()).toBe(entry.value);
        }
      }),
    );
  });

  test("the elements are those JSON.parse finds", () => {
    fc.assert(
      fc.property(padded(arrayText), (source) => {
        expect(elements(source).map((element) => JSON.parse(element) as unknown)).toEqual(JSON.parse(source));
      }),
    );
  });

  test("what is not an object has no members, what is not an array no elements", () => {
    fc.assert(
      fc.property(padded(valueText), (source) => {
        const parsed: unknown = JSON.parse(source);
        const object = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
        expect(isObject(source)).toBe(object);
        expect(isArray(source)).toBe(Array.isArray(parsed));
        expect(members(source).length === 0 || object).toBe(true);
        expect(elements(source).length === 0 || Array.isArray(parsed)).toBe(true);
      }),
    );
  });

  test("setting a member changes that value alone, and leaves every other byte", () => {
    fc.assert(
      fc.property(padded(objectText), fc.constantFrom("a", "b", "id", "x"), valueText, (source, key, value) => {
        const changed = setMember(source, key, value);
        expect(member(changed, key)).toBe(value);
        const others = (from: string) => members(from).filter((entry) => entry.key !== key);
        expect(others(changed).map((entry) => [entry.key, entry.value])).toEqual(
          others(source).map((entry) => [entry.key, entry.value]),
        );
        expect(isJson(changed)).toBe(true);
      }),
    );
  });

  test("setting a member to the value it has gives the same text", () => {
    fc.assert(
      fc.property(padded(objectText), (source) => {
        for (const entry of members(source)) {
          expect(setMember(source, entry.key, member(source, entry.key) ?? "")).toBe(source);
        }
      }),
    );
  });

  test("removing a member removes all its duplicates and nothing else", () => {
    fc.assert(
      fc.property(padded(objectText), fc.constantFrom("a", "b", "id"), (source, key) => {
        const changed = removeMember(source, key);
        const parsed = JSON.parse(source) as Record<string, unknown>;
        delete parsed[key];
        expect(JSON.parse(changed)).toEqual(parsed);
        expect(members(changed).map((entry) => entry.value)).toEqual(
          members(source)
            .filter((entry) => entry.key !== key)
            .map((entry) => entry.value),
        );
        expect(changed === source).toBe(members(source).every((entry) => entry.key !== key));
      }),
    );
  });

  test("a member that was not there comes and goes without a trace", () => {
    fc.assert(
      fc.property(objectText, valueText, (source, value) => {
        fc.pre(member(source, "x") === undefined && members(source).length > 0);
        expect(removeMember(setMember(source, "x", value), "x")).toBe(source);
      }),
    );
  });

  test("a string decodes as JSON.parse decodes it, anything else does not decode", () => {
    fc.assert(
      fc.property(stringText, (source) => {
        expect(text(source)).toBe(JSON.parse(source));
      }),
    );
    for (const other of ["1", "null", "true", "{}", '["a"]', undefined]) expect(text(other)).toBeUndefined();
  });

  test("one line means the same, and has no line break", () => {
    fc.assert(
      fc.property(padded(valueText), (source) => {
        const line = oneLine(source);
        expect(line).not.toMatch(/[\r\n]/);
        expect(line.length).toBe(source.length);
        expect(JSON.parse(line)).toEqual(JSON.parse(source));
      }),
    );
  });

  test("the depth is the number of brackets open at once", () => {
    fc.assert(
      fc.property(padded(valueText), (source) => {
        const depth = (value: unknown): number =>
          typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depth)) : 0;
        // A duplicate hides the deeper of two values from JSON.parse, never from the scan.
        expect(nestingDepth(source)).toBeGreaterThanOrEqual(depth(JSON.parse(source)));
      }),
    );
    expect(nestingDepth('{"a":["[[[[",{"b":[]}]}')).toBe(4);
    expect(nestingDepth("[".repeat(100_000) + "]".repeat(100_000))).toBe(100_000);
  });

  test("on text that is no JSON everything still ends", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('"', "\\", "{", "}", "[", "]", ",", ":", "a", " ") }), (source) => {
        for (const read of [members, elements, nestingDepth, (from: string) => member(from, "a")]) {
          expect(outcome(() => read(source))).toMatch(/^(ended|SyntaxError)$/);
        }
      }),
    );
  });
});

describe("bytes that a rewrite would lose", () => {
  it.each([
    ["integers above 2^53", '{"n":9007199254740993,"x":1}', "n", "9007199254740993"],
    ["numbers as written", '{"n":1.50e+02,"x":1}', "n", "1.50e+02"],
    ["escapes as written", '{"n":"\\u0041\\/\\u0000","x":1}', "n", '"\\u0041\\/\\u0000"'],
    ["keys written with escapes", '{"\\u006e":1,"x":1}', "n", "1"],
    ["the last of duplicates", '{"n":1,"n":2,"x":1}', "n", "2"],
    ["inner whitespace", '{ "n" : [ 1 , 2 ] , "x":1}', "n", "[ 1 , 2 ]"],
  ])("%s survive", (_, source, key, raw) => {
    expect(member(source, key)).toBe(raw);
    expect(setMember(source, "x", "2")).toBe(source.replace('"x":1', '"x":2'));
  });

  test("of duplicates the one that counts is replaced", () => {
    expect(setMember('{"n":1,"m":0,"n":2}', "n", "3")).toBe('{"n":1,"m":0,"n":3}');
  });

  it.each([
    ["the only member", '{ "a":1 }', "{}"],
    ["the first of two", '{"a":1, "b":2}', '{"b":2}'],
    ["the last of two", '{"b":2, "a":1 }', '{"b":2 }'],
    ["both ends", '{"a":1,"b":2,"a":3}', '{"b":2}'],
    ["two in front", '{"a":1,"a":2,"b":3}', '{"b":3}'],
    ["two behind", '{"b":3,"a":1,"a":2}', '{"b":3}'],
  ])("removing %s takes its comma along", (_, source, expected) => {
    expect(removeMember(source, "a")).toBe(expected);
  });

  test("an empty object takes a member", () => {
    expect(setMember(" {} ", "a", "1")).toBe(' {"a":1} ');
    expect(setMember("{ }", "a", "1")).toBe('{"a":1 }');
  });

  test("splice replaces each span once", () => {
    expect(
      splice("abcdef", [
        { start: 1, end: 2, text: "X" },
        { start: 4, end: 4, text: "Y" },
      ]),
    ).toBe("aXcdYef");
    expect(quote('a"\n')).toBe('"a\\"\\n"');
  });
});

test("a megabyte of backslashes is scanned once", () => {
  const source = `{"a":"${"\\\\".repeat(500_000)}","b":1}`;
  const started = process.hrtime.bigint();
  expect(member(source, "b")).toBe("1");
  expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(1000);
});

function outcome(read: () => unknown): string {
  try {
    read();
    return "ended";
  } catch (error) {
    return (error as Error).name;
  }
}
