import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { dialectAndHistory } from "../../test/support/task-events.ts";
import {
  artifactPayload,
  parseEvent,
  parseSendResult,
  parseTask,
  statusPayload,
  withFinal,
  wrapMessage,
  wrapTask,
} from "./events.ts";
import { isJson } from "./raw-json.ts";

const timestamp = "2026-11-20T10:00:00.000Z";
const ids = { taskId: "T", contextId: "C" };

describe("reading", () => {
  it.each([
    [
      "JavaScript 1.0, a Task",
      "1.0",
      '{"task":{"id":"T","contextId":"C","status":{"state":"TASK_STATE_SUBMITTED","timestamp":"2026-11-20T10:00:00.000Z"}}}',
      { kind: "task", ...ids, state: "submitted", timestamp },
    ],
    [
      "Python 0.3, a status first",
      "0.3",
      '{"contextId":"C","final":true,"kind":"status-update","status":{"state":"input-required","timestamp":"2026-11-20T10:00:00.000000+00:00"},"taskId":"T"}',
      { kind: "status", ...ids, state: "input-required", timestamp, final: true },
    ],
    [
      "Python 0.3, an artifact",
      "0.3",
      '{"append":true,"artifact":{"artifactId":"a1","parts":[]},"contextId":"C","kind":"artifact-update","lastChunk":false,"taskId":"T"}',
      { kind: "artifact", ...ids },
    ],
    [
      "1.0, a status without a context, which ProtoJSON leaves out when empty",
      "1.0",
      '{"statusUpdate":{"taskId":"T","status":{"state":"TASK_STATE_WORKING"}}}',
      { kind: "status", taskId: "T", contextId: "", state: "working", timestamp: null, final: false },
    ],
    [
      "1.0, a state nobody knows",
      "1.0",
      '{"statusUpdate":{"taskId":"T","status":{"state":"X"}}}',
      { kind: "status", state: "unknown" },
    ],
    ["1.0, no status at all", "1.0", '{"task":{"id":"T"}}', { kind: "task", state: "unknown", timestamp: null }],
    ["1.0 never has final", "1.0", '{"statusUpdate":{"taskId":"T","final":true}}', { kind: "status", final: false }],
    [
      "a Message with all its ids",
      "1.0",
      '{"message":{"messageId":"m","taskId":"T","contextId":"C"}}',
      { kind: "message", messageId: "m", ...ids },
    ],
    [
      "a Message with empty ids",
      "0.3",
      '{"kind":"message","messageId":"","taskId":""}',
      { kind: "message", messageId: null, taskId: null, contextId: null },
    ],
  ] as const)("%s", (_, dialect, payload, expected) => {
    expect(parseEvent(dialect, payload)).toMatchObject({ ...expected, payload });
  });

  it.each([
    ["a bare Task in 1.0", "1.0", '{"id":"T","status":{}}'],
    ["a wrapped Task in 0.3", "0.3", '{"task":{"id":"T"}}'],
    ["a wrapper with nothing in it", "1.0", '{"task":null}'],
    ["a kind nobody knows", "0.3", '{"kind":"toString","id":"T"}'],
    ["a Task without an id", "1.0", '{"task":{"contextId":"C"}}'],
    ["a Task whose id is no string", "0.3", '{"kind":"task","id":1}'],
    ["a Task whose id has a control character", "1.0", '{"task":{"id":"a\\u0000"}}'],
    ["a status whose context is too long", "1.0", `{"statusUpdate":{"taskId":"T","contextId":"${"c".repeat(257)}"}}`],
    ["null", "1.0", "null"],
    ["a number", "0.3", "1"],
    ["a list", "1.0", '[{"task":{"id":"T"}}]'],
  ] as const)("%s is something else", (_, dialect, payload) => {
    expect(parseEvent(dialect, payload)).toEqual({ kind: "other", payload });
  });

  test("a payload comes out on one line, its slices with it", () => {
    const event = parseEvent("1.0", '{\r\n"task":{\n"id":"T","x":"\\n"}}');
    expect(event).toMatchObject({ payload: '{  "task":{ "id":"T","x":"\\n"}}', task: '{ "id":"T","x":"\\n"}' });
  });

  test("the result of a send is a Task or a Message, nothing else", () => {
    expect(parseSendResult("0.3", '{"kind":"task","id":"T"}').kind).toBe("task");
    expect(parseSendResult("1.0", '{"message":{}}').kind).toBe("message");
    expect(parseSendResult("1.0", '{"statusUpdate":{"taskId":"T"}}').kind).toBe("other");
  });

  test("the bare Task of a get takes its dialect's stream form", () => {
    expect(parseTask("1.0", '{"id":"T"}')).toMatchObject({
      kind: "task",
      payload: '{"task":{"id":"T"}}',
      task: '{"id":"T"}',
    });
    expect(parseTask("0.3", '{"kind":"task","id":"T"}')).toMatchObject({
      kind: "task",
      payload: '{"kind":"task","id":"T"}',
    });
    for (const [dialect, text] of [
      ["0.3", '{"id":"T"}'],
      ["1.0", "null"],
      ["1.0", "{}"],
      ["1.0", "[]"],
    ] as const) {
      expect(parseTask(dialect, text).kind).toBe("other");
    }
  });
});

describe("writing", () => {
  test("a status update in both dialects, to the byte", () => {
    const update = { ...ids, state: "working", timestamp, final: false } as const;
    expect(statusPayload("1.0", { ...update, message: { messageId: "m", text: 'a"b' } })).toBe(
      `{"statusUpdate":{"taskId":"T","contextId":"C","status":{"state":"TASK_STATE_WORKING","message":{"messageId":"m","contextId":"C","taskId":"T","role":"ROLE_AGENT","parts":[{"text":"a\\"b"}]},"timestamp":"${timestamp}"}}}`,
    );
    expect(statusPayload("0.3", { ...update, message: { messageId: "m", text: "a" }, metadata: '{"n":1.0}' })).toBe(
      `{"kind":"status-update","taskId":"T","contextId":"C","status":{"state":"working","message":{"kind":"message","messageId":"m","contextId":"C","taskId":"T","role":"agent","parts":[{"kind":"text","text":"a"}]},"timestamp":"${timestamp}"},"final":false,"metadata":{"n":1.0}}`,
    );
  });

  test("a message given raw stays raw", () => {
    expect(statusPayload("1.0", { ...ids, state: "failed", timestamp, final: true, message: '{"n":1.0}' })).toContain(
      '"message":{"n":1.0}',
    );
  });

  test("an artifact update in both dialects, to the byte", () => {
    const artifact = '{"artifactId":"a","parts":[1.0]}';
    expect(artifactPayload("1.0", { ...ids, artifact, append: false })).toBe(
      `{"artifactUpdate":{"taskId":"T","contextId":"C","artifact":${artifact}}}`,
    );
    expect(artifactPayload("1.0", { ...ids, artifact, append: true, lastChunk: true })).toBe(
      `{"artifactUpdate":{"taskId":"T","contextId":"C","artifact":${artifact},"append":true,"lastChunk":true}}`,
    );
    expect(artifactPayload("0.3", { ...ids, artifact, append: false, lastChunk: false })).toBe(
      `{"kind":"artifact-update","taskId":"T","contextId":"C","artifact":${artifact},"append":false,"lastChunk":false}`,
    );
  });

  test("what is written reads back as what it is", () => {
    for (const dialect of ["0.3", "1.0"] as const) {
      const status = statusPayload(dialect, { ...ids, state: "completed", timestamp, final: true });
      expect(parseEvent(dialect, status)).toEqual({
        kind: "status",
        ...ids,
        state: "completed",
        timestamp,
        final: dialect === "0.3",
        payload: status,
      });
      expect(parseEvent(dialect, artifactPayload(dialect, { ...ids, artifact: "{}", append: true })).kind).toBe(
        "artifact",
      );
    }
    expect(parseEvent("1.0", wrapTask("1.0", '{"id":"T"}')).kind).toBe("task");
    expect(parseEvent("1.0", wrapMessage("1.0", "{}")).kind).toBe("message");
    expect(wrapMessage("0.3", "{}")).toBe("{}");
  });

  it.each([
    [
      "is set where it differs",
      '{"kind":"status-update","final":false,"n":1.0}',
      true,
      '{"kind":"status-update","final":true,"n":1.0}',
    ],
    ["is added where it is missing", '{"kind":"status-update"}', false, '{"kind":"status-update","final":false}'],
    ["stays out of other events", '{"kind":"task","id":"T"}', true, '{"kind":"task","id":"T"}'],
  ])("final %s", (_, payload, final, expected) => {
    expect(withFinal(payload, final)).toBe(expected);
    expect(withFinal(expected, final)).toBe(expected);
  });
});

test("every event of a random task is read as what it was written as", () => {
  fc.assert(
    fc.property(dialectAndHistory, ({ dialect, events }) => {
      for (const { kind, payload } of events) {
        expect(isJson(payload)).toBe(true);
        expect(parseEvent(dialect, payload)).toMatchObject({ kind, payload });
      }
    }),
  );
});
