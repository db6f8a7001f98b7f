import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { objectText, padded, valueText } from "../../test/support/json-text.ts";
import { callEnvelope, errorEnvelope, isAcceptedId, parseCall, parseReply, resultEnvelope } from "./jsonrpc.ts";
import { oneLine } from "./raw-json.ts";

describe("requests", () => {
  it.each([
    ["a number", "1", "1"],
    ["an integer above 2^53", "9007199254740993", "9007199254740993"],
    ["a string with escapes", '"\\u0061\\/"', '"\\u0061\\/"'],
    ["null", "null", "null"],
    ["a fraction", "1.5", "1.5"],
    ["an object over two lines", '{\n"a":1}', '{ "a":1}'],
  ])("the id is kept as the token it was: %s", (_, id, expected) => {
    const body = `{"jsonrpc":"2.0","id":${id},"method":"GetTask","params":{ "id":"t" }}`;
    expect(parseCall(body)).toEqual({
      kind: "call",
      id: expected,
      method: "GetTask",
      params: '{ "id":"t" }',
      text: body,
    });
  });

  test("a notification has no id, a call may have no params", () => {
    expect(parseCall('{"jsonrpc":"2.0","method":"x"}')).toMatchObject({
      kind: "call",
      id: undefined,
      params: undefined,
    });
  });

  it.each([
    ["text that is no JSON", "{"],
    ["an empty body", ""],
    ["a batch", '[{"jsonrpc":"2.0","id":1,"method":"x"}]'],
    ["null", "null"],
    ["a string", '"x"'],
    ["another JSON-RPC version", '{"jsonrpc":"1.0","id":1,"method":"x"}'],
    ["no version", '{"id":1,"method":"x"}'],
    ["a method that is no string", '{"jsonrpc":"2.0","id":1,"method":5}'],
  ])("%s is left to the agent", (_, body) => {
    expect(parseCall(body)).toEqual({ kind: "other" });
  });

  it.each([
    [undefined, true],
    ["null", true],
    ["0", true],
    ["-3", true],
    ['"a"', true],
    ["1.5", false],
    ["1.0", true],
    ["{}", false],
    ["[]", false],
    ["true", false],
  ])("the id %s is one that SDKs take: %s", (id, accepted) => {
    expect(isAcceptedId(id)).toBe(accepted);
  });
});

describe("responses", () => {
  test("a result is the slice as sent, on one line", () => {
    fc.assert(
      fc.property(padded(valueText), (result) => {
        expect(parseReply(`{"id":1,"jsonrpc":"2.0","result":${result}}`)).toEqual({
          kind: "result",
          id: "1",
          result: oneLine(result).trim(),
        });
      }),
    );
  });

  it.each([
    ["the usual order", '{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"m"}}', "1"],
    ["Python 0.3 without an id", '{"error":{"code":-32001,"message":"m"},"jsonrpc":"2.0"}', undefined],
    ["no jsonrpc member", '{"error":{"code":-32001,"message":"m"},"id":null}', "null"],
    [
      "an error beside a null result",
      '{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":-32001,"message":"m"}}',
      "1",
    ],
  ])("an error is read from %s", (_, body, id) => {
    expect(parseReply(body)).toEqual({ kind: "error", id, error: '{"code":-32001,"message":"m"}', code: -32001 });
  });

  test("an error without a numeric code has code 0", () => {
    expect(parseReply('{"error":{"code":"x"}}')).toMatchObject({ kind: "error", code: 0 });
  });

  it.each([
    ["a null result", '{"jsonrpc":"2.0","id":1,"result":null}', { kind: "result", id: "1", result: "null" }],
    [
      "a null error beside a result",
      '{"jsonrpc":"2.0","id":1,"error":null,"result":{}}',
      { kind: "result", id: "1", result: "{}" },
    ],
    ["neither result nor error, as Go sends it", '{"jsonrpc":"2.0","id":1}', { kind: "empty", id: "1" }],
    ["HTML", "<html></html>", { kind: "other" }],
    ["some other object", '{"detail":"x"}', { kind: "other" }],
    ["an array", "[]", { kind: "other" }],
  ])("%s is understood", (_, body, expected) => {
    expect(parseReply(body)).toEqual(expected);
  });
});

describe("envelopes", () => {
  test("what is written reads back, ids and payloads to the byte", () => {
    fc.assert(
      fc.property(fc.constantFrom("1", '"\\u0061"', "null", "9007199254740993"), objectText, (id, raw) => {
        const line = oneLine(raw);
        expect(parseReply(resultEnvelope(id, line))).toEqual({ kind: "result", id, result: line });
        const call = callEnvelope(id, "GetTask", line);
        expect(parseCall(call)).toEqual({ kind: "call", id, method: "GetTask", params: line, text: call });
      }),
    );
    expect(callEnvelope("1", "x", undefined)).toBe('{"jsonrpc":"2.0","id":1,"method":"x"}');
  });

  test("a missing id is answered with null", () => {
    expect(resultEnvelope(undefined, "{}")).toBe('{"jsonrpc":"2.0","id":null,"result":{}}');
    expect(errorEnvelope(undefined, '{"code":1}')).toBe('{"jsonrpc":"2.0","id":null,"error":{"code":1}}');
  });
});
