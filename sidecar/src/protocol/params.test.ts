import { describe, expect, it, test } from "vitest";
import { isUsableId } from "./ids.ts";
import type { Operation } from "./methods.ts";
import { type Parsed, parseList, parsePush, parseSend, parseTaskParams, tenantOf } from "./params.ts";

const ok = <T>(parsed: Parsed<T>): T => {
  if (parsed.kind === "bad") throw new Error(parsed.error);
  return parsed.value;
};
const refusal = (parsed: Parsed<unknown>): string => {
  if (parsed.kind === "ok") throw new Error("accepted");
  const error = JSON.parse(parsed.error) as { code: number; message: string };
  expect(error.code).toBe(-32602);
  return error.message;
};
const send = (more: string, configuration = "{}") =>
  `{"message":{"messageId":"m"${more}},"configuration":${configuration}}`;

describe("ids that can be keys", () => {
  it.each([
    ["a UUID", "0190a1b2-0000-7000-8000-000000000000", true],
    ["any script", "任务-é😀", true],
    ["256 characters", "a".repeat(256), true],
    ["257 characters", "a".repeat(257), false],
    ["nothing", "", false],
    ["a NUL", "a\u0000", false],
    ["a line break", "a\nb", false],
    ["half a character", "a\ud800", false],
    ["the other half", "\udc00a", false],
  ])("%s", (_, id, usable) => {
    expect(isUsableId(id)).toBe(usable);
  });
});

describe("send", () => {
  test("what the sidecar needs is read, the message as it was written", () => {
    const message = '{ "messageId":"m","taskId":"t","contextId":"c","parts":[1.0]}';
    expect(ok(parseSend("1.0", `{"tenant":"x","message":${message},"configuration":{"historyLength":2}}`))).toEqual({
      tenant: "x",
      message,
      messageId: "m",
      taskId: "t",
      contextId: "c",
      blocking: true,
      historyLength: 2,
      inlinePush: false,
    });
  });

  test("0.3 has no tenants", () => {
    expect(ok(parseSend("0.3", '{"tenant":"x","message":{"messageId":"m"}}')).tenant).toBe("");
  });

  it.each([
    ["1.0", "{}", true],
    ["1.0", '{"returnImmediately":true}', false],
    ["1.0", '{"returnImmediately":false}', true],
    ["0.3", "{}", null],
    ["0.3", "null", null],
    ["0.3", '{"blocking":true}', true],
    ["0.3", '{"blocking":false}', false],
    ["0.3", '{"returnImmediately":true}', null],
  ] as const)("%s with %s blocks: %s", (dialect, configuration, blocking) => {
    expect(ok(parseSend(dialect, send("", configuration))).blocking).toBe(blocking);
  });

  it.each([
    ["1.0", '{"taskPushNotificationConfig":{"url":"u"}}', true],
    ["1.0", '{"pushNotificationConfig":{"url":"u"}}', false],
    ["0.3", '{"pushNotificationConfig":{"url":"u"}}', true],
    ["0.3", '{"pushNotificationConfig":null}', false],
  ] as const)("%s with %s brings its push configuration along: %s", (dialect, configuration, inlinePush) => {
    expect(ok(parseSend(dialect, send("", configuration))).inlinePush).toBe(inlinePush);
  });

  test("null and empty ids are absent ones", () => {
    expect(ok(parseSend("1.0", send(',"taskId":"","contextId":null')))).toMatchObject({
      taskId: null,
      contextId: null,
    });
  });

  it.each([
    ["no params", undefined, "Invalid method parameters."],
    ["a list for params", "[]", "Invalid method parameters."],
    ["no message", "{}", "request.message is required."],
    ["a text for the message", '{"message":"m"}', "request.message is required."],
    ["no message id", '{"message":{}}', "message.messageId is required."],
    ["an empty message id", '{"message":{"messageId":""}}', "message.messageId is required."],
    ["a number for the message id", '{"message":{"messageId":1}}', "message.messageId must be a string."],
    ["a list for the task id", send(',"taskId":[]'), "message.taskId must be a string."],
    ["a control character in the task id", send(',"taskId":"a\\n"'), "message.taskId is too long or not printable."],
    [
      "a context id too long",
      send(`,"contextId":"${"c".repeat(257)}"`),
      "message.contextId is too long or not printable.",
    ],
    ["a fraction for historyLength", send("", '{"historyLength":1.5}'), "historyLength must be an integer."],
  ])("%s is refused in both dialects", (_, params, message) => {
    for (const dialect of ["0.3", "1.0"] as const) expect(refusal(parseSend(dialect, params))).toBe(message);
  });

  test("a tenant that cannot be a key is refused", () => {
    expect(refusal(parseSend("1.0", '{"tenant":"a\\u0000","message":{"messageId":"m"}}'))).toContain("tenant");
    expect(refusal(parseSend("1.0", '{"tenant":1,"message":{"messageId":"m"}}'))).toContain("tenant");
  });
});

describe("get, cancel, subscribe", () => {
  it.each([
    ['{"id":"t"}', null],
    ['{"id":"t","historyLength":0}', 0],
    ['{"id":"t","historyLength":-1}', -1],
    ['{"id":"t","historyLength":"7"}', 7],
    ['{"id":"t","historyLength":null}', null],
  ])("%s", (params, historyLength) => {
    for (const dialect of ["0.3", "1.0"] as const) {
      expect(ok(parseTaskParams(dialect, params))).toEqual({ tenant: "", id: "t", historyLength });
    }
  });

  it.each([
    ["{}", "Task ID is required"],
    ['{"id":" "}', "Task ID is required"],
    ['{"id":5}', "Task ID must be a string."],
    ['{"id":"t","historyLength":"x"}', "historyLength must be an integer."],
    ['{"id":"t","historyLength":""}', "historyLength must be an integer."],
    ['{"id":"t","historyLength":[1]}', "historyLength must be an integer."],
  ])("%s is refused", (params, message) => {
    expect(refusal(parseTaskParams("1.0", params))).toBe(message);
  });
});

describe("push configurations", () => {
  it.each([
    ["1.0", "push-set", '{"tenant":"x","taskId":"t","id":"c","url":"u"}', "c"],
    ["1.0", "push-set", '{"tenant":"x","taskId":"t","url":"u"}', null],
    ["1.0", "push-get", '{"tenant":"x","taskId":"t","id":"c"}', "c"],
    ["1.0", "push-list", '{"tenant":"x","taskId":"t","pageSize":3}', null],
    ["1.0", "push-delete", '{"tenant":"x","taskId":"t","id":"c"}', "c"],
    ["0.3", "push-set", '{"taskId":"t","pushNotificationConfig":{"id":"c","url":"u"}}', "c"],
    ["0.3", "push-set", '{"taskId":"t","pushNotificationConfig":{"url":"u"}}', null],
    ["0.3", "push-get", '{"id":"t"}', null],
    ["0.3", "push-list", '{"id":"t"}', null],
    ["0.3", "push-delete", '{"id":"t","pushNotificationConfigId":"c"}', "c"],
  ] as [dialect: "0.3" | "1.0", operation: Operation, params: string, configId: string | null][])(
    "%s %s %s",
    (dialect, operation, params, configId) => {
      const tenant = dialect === "1.0" ? "x" : "";
      expect(ok(parsePush(dialect, operation, params))).toEqual({ tenant, taskId: "t", configId });
    },
  );

  test("without a task they are refused", () => {
    expect(refusal(parsePush("1.0", "push-set", '{"id":"c"}'))).toBe("Task ID is required");
    expect(refusal(parsePush("0.3", "push-get", '{"taskId":"t"}'))).toBe("Task ID is required");
  });
});

describe("list", () => {
  test("an empty query has the defaults", () => {
    expect(ok(parseList("{}"))).toEqual({
      tenant: "",
      contextId: null,
      state: null,
      statusTimestampAfter: null,
      pageSize: 50,
      pageToken: "",
      historyLength: null,
      includeArtifacts: false,
    });
  });

  test("a full one is read", () => {
    const params =
      '{"tenant":"x","contextId":"c","status":"TASK_STATE_WORKING","statusTimestampAfter":"2026-11-20T10:00:00+01:00","pageSize":7,"pageToken":"p","historyLength":0,"includeArtifacts":true}';
    expect(ok(parseList(params))).toEqual({
      tenant: "x",
      contextId: "c",
      state: "working",
      statusTimestampAfter: "2026-11-20T09:00:00.000Z",
      pageSize: 7,
      pageToken: "p",
      historyLength: 0,
      includeArtifacts: true,
    });
  });

  it.each([
    ['{"pageSize":1}', { pageSize: 1 }],
    ['{"pageSize":100}', { pageSize: 100 }],
    ['{"status":"TASK_STATE_UNSPECIFIED"}', { state: null }],
    ['{"statusTimestampAfter":"2026-11-20"}', { statusTimestampAfter: "2026-11-20T00:00:00.000Z" }],
    ['{"statusTimestampAfter":""}', { statusTimestampAfter: null }],
  ])("%s is accepted", (params, expected) => {
    expect(ok(parseList(params))).toMatchObject(expected);
  });

  it.each([
    ["no params", undefined],
    ["a page size of 0", '{"pageSize":0}'],
    ["a page size of 101", '{"pageSize":101}'],
    ["half a page", '{"pageSize":1.5}'],
    ["a status of 0.3", '{"status":"working"}'],
    ["a status nobody knows", '{"status":"X"}'],
    ["a timestamp in prose", '{"statusTimestampAfter":"yesterday"}'],
    ["a page token that is no text", '{"pageToken":5}'],
  ])("%s is refused", (_, params) => {
    expect(refusal(parseList(params))).not.toBe("");
  });
});

test("the tenant of any params, or none", () => {
  expect(["{}", undefined, "[]", '{"tenant":5}', '{"tenant":"x"}'].map(tenantOf)).toEqual(["", "", "", "", "x"]);
});
