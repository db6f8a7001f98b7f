import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { anyTask, dialects, history, ids } from "../../test/support/task-events.ts";
import type { NewEvent } from "../ports/task-store.ts";
import { parseEvent } from "../protocol/events.ts";
import { elements, member } from "../protocol/raw-json.ts";
import { differenceFrom } from "./difference.ts";
import { artifactIds, type Fold, foldEvent, foldHead, messageKey, openFold, rebuildFold, taskText } from "./fold.ts";
import { isTerminal } from "./task-state.ts";

const early = "2026-11-20T10:00:00.000Z";
const later = "2026-11-20T10:00:01.000Z";
const message = (id: string) => `{"messageId":"${id}","role":"ROLE_AGENT","parts":[{"text":"${id}"}]}`;
const status = (state: string, timestamp: string | null = early, more = "") =>
  `{"state":"TASK_STATE_${state}"${more}${timestamp === null ? "" : `,"timestamp":"${timestamp}"`}}`;
const task = (state: string, more = "") => `{"id":"T","contextId":"C","status":${state}${more}}`;
const working = task(status("WORKING"));
const artifact = (id: string, ...texts: string[]) =>
  `{"artifactId":"${id}","parts":[${texts.map((text) => `{"text":"${text}"}`).join(",")}]}`;
const artifacts = (...list: string[]) => `,"artifacts":[${list.join(",")}]`;
const said = (...list: string[]) => `,"history":[${list.join(",")}]`;

const payloads = (before: string, after: string) =>
  differenceFrom(openFold("1.0", before), after).map((event) => event.payload);
const apply = (fold: Fold, events: NewEvent[]) => {
  for (const event of events) foldEvent(fold, event);
};
const historyKeys = (fold: Fold) => elements(member(taskText(fold), "history") ?? "[]").map(messageKey);

const foldAndTask = dialects.chain((dialect) =>
  fc
    .tuple(fc.constant(dialect), history(dialect), anyTask(dialect))
    .map(([, events, agentTask]) => ({ dialect, events, agentTask })),
);

describe("the difference rule", () => {
  test("once folded, the same Task makes no difference any more", () => {
    fc.assert(
      fc.property(foldAndTask, ({ dialect, events, agentTask }) => {
        const fold = rebuildFold(dialect, null, ids, events);
        apply(fold, differenceFrom(fold, agentTask));
        expect(differenceFrom(fold, agentTask)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("a task's own text makes no difference to it", () => {
    fc.assert(
      fc.property(foldAndTask, ({ dialect, events }) => {
        const fold = rebuildFold(dialect, null, ids, events);
        expect(differenceFrom(fold, taskText(fold))).toEqual([]);
      }),
    );
  });

  test("no artifact and no message is ever removed", () => {
    fc.assert(
      fc.property(foldAndTask, ({ dialect, events, agentTask }) => {
        const fold = rebuildFold(dialect, null, ids, events);
        const [artifactsBefore, messagesBefore] = [artifactIds(fold), historyKeys(fold)];
        apply(fold, differenceFrom(fold, agentTask));
        expect(artifactIds(fold)).toEqual(expect.arrayContaining(artifactsBefore));
        expect(historyKeys(fold)).toEqual(expect.arrayContaining(messagesBefore));
      }),
    );
  });

  test("a finished Task of the agent finishes the record, whatever its clock says", () => {
    fc.assert(
      fc.property(foldAndTask, ({ dialect, events, agentTask }) => {
        const state = parseEvent(dialect, dialect === "1.0" ? `{"task":${agentTask}}` : agentTask);
        fc.pre(state.kind === "task" && isTerminal(state.state));
        const fold = rebuildFold(dialect, null, ids, events);
        fc.pre(!isTerminal(foldHead(fold).state));
        apply(fold, differenceFrom(fold, agentTask));
        expect(foldHead(fold).state).toBe(state.kind === "task" ? state.state : undefined);
      }),
    );
  });

  test("its events are those of the dialect: artifacts, then at most one status, which is last", () => {
    fc.assert(
      fc.property(foldAndTask, ({ dialect, events, agentTask }) => {
        const found = differenceFrom(rebuildFold(dialect, null, ids, events), agentTask);
        for (const event of found)
          expect(parseEvent(dialect, event.payload)).toMatchObject({ kind: event.kind, ...ids });
        expect(found.slice(0, -1).every((event) => event.kind === "artifact" && event.hidden === null)).toBe(true);
      }),
    );
  });

  test("P6: a finished task takes no difference", () => {
    expect(payloads(task(status("COMPLETED")), task(status("FAILED", later), artifacts(artifact("a", "1"))))).toEqual(
      [],
    );
  });
});

describe("artifacts", () => {
  it.each([
    [
      "an artifact only the agent has is recorded whole",
      "",
      artifacts(artifact("a", "1")),
      [`{"artifactUpdate":{"taskId":"T","contextId":"C","artifact":${artifact("a", "1")}}}`],
    ],
    [
      "parts that came after those recorded are appended",
      artifacts(artifact("a", "1")),
      artifacts(artifact("a", "1", "2", "3")),
      [`{"artifactUpdate":{"taskId":"T","contextId":"C","artifact":${artifact("a", "2", "3")},"append":true}}`],
    ],
    [
      "parts that are not those recorded replace them",
      artifacts(artifact("a", "1", "2")),
      artifacts(artifact("a", "1", "x")),
      [`{"artifactUpdate":{"taskId":"T","contextId":"C","artifact":${artifact("a", "1", "x")}}}`],
    ],
    [
      "an artifact only the record has stays",
      artifacts(artifact("a", "1"), artifact("b", "2")),
      artifacts(artifact("b", "2")),
      [],
    ],
    [
      "a live Task that was read before the last chunk says nothing of it",
      artifacts(artifact("a", "1", "2")),
      artifacts(artifact("a", "1")),
      [],
    ],
  ])("%s", (_, before, after, expected) => {
    expect(payloads(task(status("WORKING"), before), task(status("WORKING"), after))).toEqual(expected);
  });

  test("a finished Task with fewer parts than recorded is the agent's last word", () => {
    const [first] = payloads(
      task(status("WORKING"), artifacts(artifact("a", "1", "2"))),
      task(status("COMPLETED", later), artifacts(artifact("a", "1"))),
    );
    expect(first).toBe(`{"artifactUpdate":{"taskId":"T","contextId":"C","artifact":${artifact("a", "1")}}}`);
  });

  it.each([
    ["whitespace", '{ "artifactId" : "a", "parts" : [ {"text":"1"} ] }'],
    ["key order", '{"parts":[{"text":"1"}],"artifactId":"a"}'],
    ["escapes", '{"artifactId":"\\u0061","parts":[{"text":"\\u0031"}]}'],
    ["default values", '{"artifactId":"a","name":"","metadata":{},"extensions":[],"parts":[{"text":"1"}]}'],
  ])("%s alone is no difference", (_, spelt) => {
    expect(
      payloads(task(status("WORKING"), artifacts(artifact("a", "1"))), task(status("WORKING"), artifacts(spelt))),
    ).toEqual([]);
  });

  test("integers above 2^53 that differ do differ", () => {
    const data = (number: string) => artifacts(`{"artifactId":"a","parts":[{"data":${number}}]}`);
    expect(
      payloads(task(status("WORKING"), data("9007199254740992")), task(status("WORKING"), data("9007199254740993"))),
    ).toHaveLength(1);
  });
});

describe("the status update", () => {
  it.each([
    ["another state", task(status("COMPLETED", later))],
    ["another message", task(status("WORKING", early, `,"message":${message("m")}`))],
    ["another instant", task(status("WORKING", later))],
    ["another metadata value", task(status("WORKING"), ',"metadata":{"k":1}')],
    ["a message only the agent's history has", task(status("WORKING"), said(message("m")))],
  ])("%s makes one", (_, after) => {
    const found = differenceFrom(openFold("1.0", working), after);
    expect(found.map((event) => event.kind)).toEqual(["status"]);
  });

  it.each([
    ["the same instant, spelt otherwise", task(status("WORKING", "2026-11-20T12:00:00.000+02:00"))],
    ["no timestamp", task(status("WORKING", null))],
    ["a null message", task(status("WORKING", early, ',"message":null'))],
    ["no status", '{"id":"T","contextId":"C"}'],
    ["null lists", task(status("WORKING"), ',"history":null,"artifacts":null,"metadata":null')],
  ])("%s makes none", (_, after) => {
    expect(payloads(working, after)).toEqual([]);
  });

  test("but the first word of a new run is heard, however its clock goes", () => {
    const before = openFold("1.0", task(status("WORKING", later), artifacts(artifact("a", "1", "2"))));
    const after = task(status("SUBMITTED", early), artifacts(artifact("a", "1")));
    expect(differenceFrom(before, after)).toEqual([]);
    expect(differenceFrom(before, after, { fresh: true }).map((event) => event.kind)).toEqual(["artifact", "status"]);
  });

  test("a live Task older than the record says nothing", () => {
    const before = task(status("WORKING", later), artifacts(artifact("a", "1", "2")));
    expect(payloads(before, task(status("SUBMITTED", early), artifacts(artifact("a", "x"))))).toEqual([]);
  });

  test("it carries only the metadata that differs, in the agent's bytes", () => {
    const before = task(status("WORKING"), ',"metadata":{"a":1,"only":2}');
    const after = task(status("WORKING"), ',"metadata":{"a": 1,"b":1.50,"c":{ }}');
    expect(payloads(before, after)).toEqual([
      `{"statusUpdate":{"taskId":"T","contextId":"C","status":${status("WORKING")},"metadata":{"b":1.50,"c":{ }}}}`,
    ]);
  });

  test("messages only the agent has are hidden in it, but the one it shows itself", () => {
    const after = task(
      status("INPUT_REQUIRED", later, `,"message":${message("m3")}`),
      said(message("m1"), message("m2"), message("m3")),
    );
    const [found] = differenceFrom(openFold("1.0", task(status("WORKING"), said(message("m1")))), after);
    expect(found?.hidden).toBe(`[${message("m2")}]`);
  });

  test("0.3 says final at rest only", () => {
    const spelt = (state: string) => `{"kind":"task","id":"T","contextId":"C","status":{"state":"${state}"}}`;
    const final = (state: string) =>
      member(differenceFrom(openFold("0.3", spelt("submitted")), spelt(state))[0]?.payload ?? "{}", "final");
    expect(["working", "auth-required", "input-required", "completed"].map(final)).toEqual([
      "false",
      "false",
      "true",
      "true",
    ]);
  });
});
