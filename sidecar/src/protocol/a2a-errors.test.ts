import { describe, expect, it, test } from "vitest";
import {
  a2aError,
  cancelTerminalError,
  errorCode,
  refusals,
  taskNotFound,
  terminalSendError,
  terminalSubscribeError,
  wrongDialectError,
} from "./a2a-errors.ts";

describe("error objects", () => {
  test("1.0 is what the JavaScript SDK sends, to the byte", () => {
    expect(taskNotFound("1.0", "x")).toBe(
      '{"code":-32001,"message":"Task not found: x","data":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TASK_NOT_FOUND","domain":"a2a-protocol.org"}]}',
    );
  });

  test("0.3 has code and message only", () => {
    expect(taskNotFound("0.3", "x")).toBe('{"code":-32001,"message":"Task not found: x"}');
  });

  test("plain JSON-RPC errors carry no ErrorInfo", () => {
    expect(a2aError("1.0", "parse-error", "m")).toBe('{"code":-32700,"message":"m"}');
  });

  test("metadata goes into ErrorInfo", () => {
    expect(JSON.parse(a2aError("1.0", "internal", "m", { a: "b" }))).toEqual({ code: -32603, message: "m" });
    expect(JSON.parse(a2aError("1.0", "task-not-found", "m", { a: "b" }))).toMatchObject({
      data: [{ metadata: { a: "b" } }],
    });
  });

  it.each([
    ["task-not-found", -32001],
    ["task-not-cancelable", -32002],
    ["push-not-supported", -32003],
    ["unsupported-operation", -32004],
    ["content-type-not-supported", -32005],
    ["invalid-agent-response", -32006],
    ["extended-card-not-configured", -32007],
    ["extension-support-required", -32008],
    ["version-not-supported", -32009],
    ["invalid-request", -32600],
    ["method-not-found", -32601],
    ["invalid-params", -32602],
    ["internal", -32603],
    ["parse-error", -32700],
  ] as const)("%s is %i", (name, code) => {
    expect(errorCode(name)).toBe(code);
    for (const dialect of ["0.3", "1.0"] as const)
      expect(JSON.parse(a2aError(dialect, name, "m"))).toMatchObject({ code });
  });
});

describe("P6: which error a finished task gives", () => {
  it.each([
    ["a message in 1.0", terminalSendError("1.0", "t", "completed"), -32004, "TASK_STATE_COMPLETED"],
    ["a message in 0.3", terminalSendError("0.3", "t", "completed"), -32600, "completed"],
    ["a subscription in 1.0", terminalSubscribeError("1.0", "t", "failed"), -32004, "TASK_STATE_FAILED"],
    ["a cancel in 1.0", cancelTerminalError("1.0", "t", "completed"), -32002, "TASK_STATE_COMPLETED"],
    ["a cancel in 0.3", cancelTerminalError("0.3", "t", "canceled"), -32002, "canceled"],
  ])("to %s", (_, error, code, state) => {
    expect(JSON.parse(error ?? "null")).toMatchObject({ code, message: expect.stringContaining(state) });
  });

  test("a subscription in 0.3 has none: the Task is sent and the stream closes", () => {
    expect(terminalSubscribeError("0.3", "t", "completed")).toBeNull();
  });
});

test("a call in the other dialect is told which one the task speaks", () => {
  expect(JSON.parse(wrongDialectError("1.0"))).toMatchObject({
    code: -32009,
    message: expect.stringContaining("A2A 0.3"),
  });
  expect(JSON.parse(wrongDialectError("0.3"))).toMatchObject({
    code: -32004,
    message: expect.stringContaining("A2A 1.0"),
  });
});

test("only a refusal that may be repeated says when", () => {
  expect(refusals["too-large"]).toMatchObject({ status: 413, retryAfterSeconds: null });
  expect(refusals.unavailable.status).toBe(503);
  expect(refusals.unavailable.retryAfterSeconds).toBeGreaterThan(0);
});
