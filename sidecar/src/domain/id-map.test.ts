import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { dialectAndHistory } from "../../test/support/task-events.ts";
import type { Dialect } from "../protocol/dialect.ts";
import type { Operation } from "../protocol/methods.ts";
import { idMap, identityMap, pushToPublic, taskToPublic, toAgent, toPublic } from "./id-map.ts";

const map = {
  ...idMap({ agentTaskId: "at", taskId: "pt", agentContextId: "ac", contextId: "pc" }),
  artifacts: new Map([["aa", "pa"]]),
};

/** Where an id stands in a template; opaque places have the agent's ids as plain text. */
const fill = (template: string, side: "agent" | "public") =>
  template
    .replaceAll("<t>", side === "agent" ? '"at"' : '"pt"')
    .replaceAll("<c>", side === "agent" ? '"ac"' : '"pc"')
    .replaceAll("<a>", side === "agent" ? '"aa"' : '"pa"');

const opaque = '"metadata":{"taskId":"at","contextId":"ac"},"n":9007199254740993';
const message = `{"messageId":"m", "taskId":<t>,"contextId":<c>,"referenceTaskIds":["other",<t>],"parts":[{"text":"at ac"},{"data":{"taskId":"at"}}],${opaque}}`;
const artifact = `{"artifactId":<a>,"parts":[{"text":"aa"}],${opaque}}`;
const status = `{"state":"x","message":${message}}`;
const task = `{"id":<t>,"contextId":<c>,"status":${status},"history":[${message}, {"taskId":"other"}],"artifacts":[${artifact}],${opaque}}`;

describe("towards the client", () => {
  it.each([
    ["1.0 task", "1.0", `{"task":${task}}`],
    ["1.0 message", "1.0", `{"message":${message}}`],
    ["1.0 status update", "1.0", `{"statusUpdate":{"taskId":<t>,"contextId":<c>,"status":${status},${opaque}}}`],
    [
      "1.0 artifact update",
      "1.0",
      `{"artifactUpdate":{"taskId":<t>,"contextId":<c>,"artifact":${artifact},${opaque}}}`,
    ],
    ["0.3 task", "0.3", task.replace("{", '{"kind":"task",')],
    ["0.3 message", "0.3", message.replace("{", '{"kind":"message",')],
    [
      "0.3 status update",
      "0.3",
      `{"kind":"status-update","taskId":<t>,"contextId":<c>,"status":${status},"final":true}`,
    ],
    [
      "0.3 artifact update",
      "0.3",
      `{"kind":"artifact-update","taskId":<t>,"contextId":<c>,"artifact":${artifact},"append":true}`,
    ],
  ] as const)("%s: every id field is mapped, nothing else changes", (_, dialect, template) => {
    // A history of two entries is joined anew, so the expected text has no space between them.
    expect(toPublic(dialect, fill(template, "agent"), map)).toBe(fill(template, "public").replace("}, {", "},{"));
  });

  test("a bare Task is mapped alike", () => {
    expect(taskToPublic("1.0", fill(task, "agent"), map)).toBe(fill(task, "public").replace("}, {", "},{"));
  });

  test("what is no event of the dialect stays", () => {
    expect(toPublic("1.0", '{"kind":"task","id":"at"}', map)).toBe('{"kind":"task","id":"at"}');
    expect(toPublic("0.3", "null", map)).toBe("null");
  });

  test("an id written with escapes is the same id", () => {
    expect(toPublic("0.3", '{"kind":"message","taskId":"\\u0061t"}', map)).toBe('{"kind":"message","taskId":"pt"}');
  });

  it.each([
    ["1.0 flat", "1.0", '{"taskId":<t>,"id":"x","url":"at"}'],
    ["1.0 named after the task", "1.0", '{"taskId":<t>,"id":<t>}'],
    ["1.0 list", "1.0", '{"configs":[{"taskId":<t>,"id":"x"}],"nextPageToken":"at"}'],
    ["0.3", "0.3", '{"taskId":<t>,"pushNotificationConfig":{"id":<t>,"url":"at","token":"at"}}'],
    ["0.3 list", "0.3", '[{"taskId":<t>,"pushNotificationConfig":{"id":"x"}}]'],
    ["delete", "0.3", "null"],
  ] as const)("push results: %s", (_, dialect, template) => {
    expect(pushToPublic(dialect, fill(template, "agent"), map)).toBe(fill(template, "public"));
  });
});

describe("towards the agent", () => {
  it.each<[string, Dialect, Operation, string]>([
    [
      "1.0 send",
      "1.0",
      "send",
      `{"tenant":"pt","message":${message},"configuration":{"taskPushNotificationConfig":{"taskId":<t>,"url":"pt"}},"metadata":{"taskId":"pt"}}`,
    ],
    ["0.3 stream", "0.3", "stream", `{"message":${message},"metadata":{"id":"pt"}}`],
    ["get", "1.0", "get", '{"id":<t>,"historyLength":1}'],
    ["cancel", "0.3", "cancel", '{"id":<t>,"metadata":{"id":"pt"}}'],
    ["subscribe", "1.0", "subscribe", '{"tenant":"pt","id":<t>}'],
    ["list", "1.0", "list", '{"contextId":<c>,"pageToken":"pc"}'],
    ["1.0 push create", "1.0", "push-set", '{"taskId":<t>,"id":"x","url":"pt"}'],
    ["1.0 push get", "1.0", "push-get", '{"taskId":<t>,"id":"x"}'],
    ["0.3 push set", "0.3", "push-set", '{"taskId":<t>,"pushNotificationConfig":{"id":<t>,"url":"pt"}}'],
    ["0.3 push get", "0.3", "push-get", '{"id":<t>,"pushNotificationConfigId":<t>}'],
    ["0.3 push delete", "0.3", "push-delete", '{"id":<t>,"pushNotificationConfigId":"x"}'],
    ["card", "1.0", "extended-card", '{"tenant":"pt"}'],
  ])("%s: ids become the agent's, nothing else changes", (_, dialect, operation, template) => {
    expect(toAgent(dialect, operation, fill(template, "public"), map)).toBe(fill(template, "agent"));
  });
});

test("where the names are the same the same text comes back", () => {
  const same = idMap({ agentTaskId: "T", taskId: "T", agentContextId: "C", contextId: "C" });
  expect(same).toEqual(identityMap);
  fc.assert(
    fc.property(dialectAndHistory, ({ dialect, events }) => {
      for (const { payload } of events) expect(toPublic(dialect, payload, same)).toBe(payload);
    }),
  );
});

test("ids nobody mapped keep every byte of an event", () => {
  fc.assert(
    fc.property(dialectAndHistory, ({ dialect, events }) => {
      for (const { payload } of events) expect(toPublic(dialect, payload, map)).toBe(payload);
    }),
  );
});
