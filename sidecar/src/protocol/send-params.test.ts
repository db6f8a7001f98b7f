import { describe, expect, it, test } from "vitest";
import {
  setBlocking,
  setMessageIds,
  setRequestMetadata,
  stripHistoryLength,
  stripInlinePush,
  taskParams,
  withContextId,
} from "./send-params.ts";

const message = '{"messageId":"m", "parts":[{"data":9007199254740993}]}';

describe("the configuration of a send", () => {
  it.each([
    ["alone", '{"historyLength":1}', "{}"],
    ["among others", '{"blocking":true, "historyLength":1,"x":1.0}', '{"blocking":true,"x":1.0}'],
    ["not there", '{"x":1.0 }', '{"x":1.0 }'],
  ])("historyLength %s goes", (_, configuration, expected) => {
    const params = (inner: string) => `{"message":${message} ,"configuration":${inner}}`;
    for (const dialect of ["0.3", "1.0"] as const) {
      expect(stripHistoryLength(dialect, params(configuration))).toBe(params(expected));
    }
  });

  test("the inline push configuration goes, under its name in the dialect", () => {
    const params = '{"configuration":{"taskPushNotificationConfig":{},"pushNotificationConfig":{}}}';
    expect(stripInlinePush("1.0", params)).toBe('{"configuration":{"pushNotificationConfig":{}}}');
    expect(stripInlinePush("0.3", params)).toBe('{"configuration":{"taskPushNotificationConfig":{}}}');
  });

  test("params without a configuration are left alone", () => {
    expect(stripHistoryLength("1.0", `{"message":${message}}`)).toBe(`{"message":${message}}`);
    expect(stripInlinePush("0.3", '{"configuration":null}')).toBe('{"configuration":null}');
  });

  it.each([
    ["1.0", "{}", false, '{"configuration":{"returnImmediately":true}}'],
    [
      "1.0",
      '{"configuration":{"returnImmediately":true,"x":1.0}}',
      true,
      '{"configuration":{"returnImmediately":false,"x":1.0}}',
    ],
    ["0.3", '{"configuration":null}', false, '{"configuration":{"blocking":false}}'],
    ["0.3", "{}", true, '{"configuration":{"blocking":true}}'],
  ] as const)("%s %s blocking %s", (dialect, params, blocking, expected) => {
    expect(setBlocking(dialect, params, blocking)).toBe(expected);
  });
});

describe("the ids of a message", () => {
  it.each([
    ["a value sets", { taskId: "t", contextId: "c" }, '{"message":{"messageId":"m","taskId":"t","contextId":"c"}}'],
    ["null removes", { taskId: null, contextId: null }, '{"message":{"messageId":"m"}}'],
    ["undefined leaves", {}, '{"message":{"messageId":"m","taskId":"old"}}'],
  ])("%s", (_, ids, expected) => {
    expect(setMessageIds('{"message":{"messageId":"m","taskId":"old"}}', ids)).toBe(expected);
  });

  test("params without a message are left alone", () => {
    expect(setMessageIds("{}", { taskId: "t" })).toBe("{}");
  });

  test("a context is added without touching the rest", () => {
    expect(withContextId(message, 'c"')).toBe(
      '{"messageId":"m", "parts":[{"data":9007199254740993}],"contextId":"c\\""}',
    );
  });
});

test("one key of the request's metadata is set beside the others", () => {
  expect(setRequestMetadata(`{"message":${message}}`, "k", "1")).toBe(`{"message":${message},"metadata":{"k":1}}`);
  expect(setRequestMetadata('{"metadata":{"a":1.0,"k":0}}', "k", "1")).toBe('{"metadata":{"a":1.0,"k":1}}');
});

test("the params of own calls name the tenant where the dialect has one", () => {
  expect(taskParams("1.0", { tenant: "x", id: 't"' })).toBe('{"tenant":"x","id":"t\\""}');
  expect(taskParams("1.0", { tenant: "", id: "t" })).toBe('{"id":"t"}');
  expect(taskParams("0.3", { tenant: "x", id: "t" })).toBe('{"id":"t"}');
});
