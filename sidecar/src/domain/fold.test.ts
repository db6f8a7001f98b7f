import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { dialectAndHistory, ids } from "../../test/support/task-events.ts";
import type { NewEvent } from "../ports/task-store.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { artifactPayload, statusPayload, wrapTask } from "../protocol/events.ts";
import { elements, isJson, member, text } from "../protocol/raw-json.ts";
import {
  artifactIds,
  emptyFold,
  type Fold,
  foldEvent,
  foldHead,
  foldSize,
  openFold,
  rebuildFold,
  taskText,
} from "./fold.ts";
import { isTerminal } from "./task-state.ts";

const task10 = (inner: string) => `{"id":"T","contextId":"C","status":{"state":"TASK_STATE_SUBMITTED"}${inner}}`;
const taskEvent = (inner = "", hidden: string | null = null): NewEvent => ({
  kind: "task",
  payload: wrapTask("1.0", task10(inner)),
  hidden,
});
const statusEvent = (inner: string, hidden: string | null = null, beside = ""): NewEvent => ({
  kind: "status",
  payload: `{"statusUpdate":{"taskId":"T","contextId":"C","status":{${inner}}${beside}}}`,
  hidden,
});
const artifactEvent = (artifact: string, append = false): NewEvent => ({
  kind: "artifact",
  payload: artifactPayload("1.0", { ...ids, artifact, append }),
  hidden: null,
});
const folded = (events: NewEvent[], dialect: Dialect = "1.0"): Fold => rebuildFold(dialect, null, ids, events);
const message = (id: string, text = id) => `{"messageId":"${id}","role":"ROLE_AGENT","parts":[{"text":"${text}"}]}`;
const messageIds = (fold: Fold) =>
  elements(member(taskText(fold), "history") ?? "[]").map(
    (entry) => (JSON.parse(entry) as { messageId: string }).messageId,
  );

describe("I3: the snapshot is the fold of the events", () => {
  test("folding a snapshot and the events after it gives the same text as folding all events", () => {
    fc.assert(
      fc.property(dialectAndHistory, ({ dialect, events }) => {
        const all = rebuildFold(dialect, null, ids, events);
        expect(isJson(taskText(all))).toBe(true);
        for (let at = 1; at <= events.length; at++) {
          const snapshot = taskText(rebuildFold(dialect, null, ids, events.slice(0, at)));
          const resumed = rebuildFold(dialect, snapshot, ids, events.slice(at));
          expect(taskText(resumed)).toBe(taskText(all));
          expect(foldHead(resumed)).toEqual(foldHead(all));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("the fold says what the JavaScript SDK's result manager would keep", () => {
    fc.assert(
      fc.property(dialectAndHistory, ({ dialect, events }) => {
        const shown: unknown = JSON.parse(taskText(rebuildFold(dialect, null, ids, events)));
        expect(shown).toEqual(modelFold(dialect, events));
      }),
      { numRuns: 300 },
    );
  });

  test("the size is the length of the text, but for what an empty list or a comma more costs", () => {
    fc.assert(
      fc.property(dialectAndHistory, ({ dialect, events }) => {
        const fold = rebuildFold(dialect, null, ids, events);
        expect(Math.abs(foldSize(fold) - taskText(fold).length)).toBeLessThan(64);
      }),
    );
  });
});

describe("P6: terminal is final", () => {
  test("no event changes a task after its terminal one", () => {
    fc.assert(
      fc.property(dialectAndHistory, ({ dialect, events }) => {
        const fold = emptyFold(dialect, ids);
        for (const event of events) {
          const before = taskText(fold);
          const ended = isTerminal(foldHead(fold).state);
          expect(foldEvent(fold, event)).toBe(ended ? "ignored" : "folded");
          expect(!ended || taskText(fold) === before).toBe(true);
        }
      }),
    );
  });
});

describe("bytes", () => {
  const odd = '{"data":{"n":9007199254740993,"n":1e400,"s":"\\u0000\\/\\ud800" , "x":[ 1 ]}}';

  test("a Task that nothing was folded into comes back to the byte", () => {
    const task = task10(
      `,"artifacts":[{"artifactId":"a","parts":[${odd}]}],"metadata":{ "k" : 1.50 },"extra":{"id":"x"}`,
    );
    expect(taskText(openFold("1.0", task))).toBe(task);
  });

  test("appended parts keep their bytes among those before them", () => {
    const fold = folded([
      taskEvent(),
      artifactEvent(`{"artifactId":"a","parts":[${odd}, {"text":"1"}]}`),
      artifactEvent(`{"artifactId":"a","parts":[ ${odd} ]}`, true),
    ]);
    expect(member(taskText(fold), "artifacts")).toBe(`[{"artifactId":"a","parts":[${odd},{"text":"1"},${odd}]}]`);
  });

  test("metadata values keep theirs when others are merged in", () => {
    const fold = folded([
      taskEvent(`,"metadata":{"\\u0061":9007199254740993}`),
      statusEvent(`"state":"TASK_STATE_WORKING"`, null, `,"metadata":{"b":1.50}`),
    ]);
    expect(member(taskText(fold), "metadata")).toBe('{"\\u0061":9007199254740993,"b":1.50}');
  });

  test("a message keeps its bytes in the history", () => {
    const said = `{"messageId":"m", "parts":[${odd}]}`;
    const fold = folded([taskEvent(), statusEvent(`"state":"TASK_STATE_WORKING","message":${said}`)]);
    expect(member(taskText(fold), "history")).toBe(`[${said}]`);
  });
});

describe("the history", () => {
  test("a status message enters at once, and once", () => {
    const said = statusEvent(`"state":"TASK_STATE_WORKING","message":${message("m1")}`);
    expect(messageIds(folded([taskEvent(), said, said]))).toEqual(["m1"]);
  });

  it.each([
    ["goes before the Task's own", taskEvent(`,"history":[${message("m2")}]`, `[${message("u1")}]`), ["u1", "m2"]],
    ["is left out where the Task has it", taskEvent(`,"history":[${message("u1")}]`, `[${message("u1")}]`), ["u1"]],
    [
      "goes before the status message",
      statusEvent(`"state":"TASK_STATE_WORKING","message":${message("m2")}`, `[${message("u1")}]`),
      ["u1", "m2"],
    ],
  ])("the user message of the first event %s", (_, first, expected) => {
    expect(messageIds(folded([first]))).toEqual(expected);
  });

  test("the Task's copy of the user message wins over the journaled one", () => {
    const fold = folded([taskEvent(`,"history":[${message("u1", "agent's")}]`, `[${message("u1", "ours")}]`)]);
    expect(taskText(fold)).toContain("agent's");
    expect(taskText(fold)).not.toContain("ours");
  });

  test("a later turn's user message goes to the end, before what its first event says", () => {
    const fold = folded([
      taskEvent(`,"history":[${message("m1")}]`),
      statusEvent(`"state":"TASK_STATE_WORKING","message":${message("m3")}`, `[${message("u2")}]`),
    ]);
    expect(messageIds(fold)).toEqual(["m1", "u2", "m3"]);
  });

  test("a message that came before the Task, with a result that is no event, stays before the Task's own", () => {
    const fold = folded([
      { kind: "other", payload: "{}", hidden: `[${message("u1")}]` },
      taskEvent(`,"history":[${message("m2")}]`),
    ]);
    expect(messageIds(fold)).toEqual(["u1", "m2"]);
  });

  test("messages without an id are told apart by what they say", () => {
    const fold = folded([taskEvent("", '[{"parts":[]},{"parts":[1]},{ "parts": [] }]')]);
    expect(elements(member(taskText(fold), "history") ?? "")).toEqual(['{"parts":[]}', '{"parts":[1]}']);
  });

  it.each([
    ["1.0", null, ["m1", "m2", "m3"]],
    ["1.0", 2, ["m2", "m3"]],
    ["1.0", 9, ["m1", "m2", "m3"]],
    ["1.0", 0, null],
    ["1.0", -1, null],
    ["0.3", null, ["m1", "m2", "m3"]],
    ["0.3", 1, ["m3"]],
    ["0.3", 0, ["m1", "m2", "m3"]],
    ["0.3", -5, ["m1", "m2", "m3"]],
  ] as const)("%s with historyLength %s shows %j", (dialect, historyLength, expected) => {
    const fold = openFold(dialect, task10(`,"history":[${["m1", "m2", "m3"].map((id) => message(id)).join(",")}]`));
    const shown = member(taskText(fold, { historyLength }), "history");
    const shownIds = shown === undefined ? null : elements(shown).map((entry) => text(member(entry, "messageId")));
    expect(shownIds).toEqual(expected);
  });
});

describe("artifacts", () => {
  test("a chunk for an artifact nobody has seen is one", () => {
    expect(artifactIds(folded([taskEvent(), artifactEvent('{"artifactId":"a","parts":[]}', true)]))).toEqual(["a"]);
  });

  test("what is not appended replaces, in its place", () => {
    const fold = folded([
      taskEvent(),
      artifactEvent('{"artifactId":"a","parts":[{"text":"1"}]}'),
      artifactEvent('{"artifactId":"b","parts":[]}'),
      artifactEvent('{"artifactId":"a","parts":[{"text":"2"}]}'),
    ]);
    expect(member(taskText(fold), "artifacts")).toBe(
      '[{"artifactId":"a","parts":[{"text":"2"}]},{"artifactId":"b","parts":[]}]',
    );
  });

  test("a chunk overwrites name and description where it has them and merges metadata", () => {
    const fold = folded([
      taskEvent(),
      artifactEvent('{"artifactId":"a","name":"n","description":"d","metadata":{"x":1},"parts":[]}'),
      artifactEvent('{"artifactId":"a","name":"","description":"e","metadata":{"y":2},"parts":[{"text":"1"}]}', true),
    ]);
    expect(member(taskText(fold), "artifacts")).toBe(
      '[{"artifactId":"a","name":"n","description":"e","metadata":{"x":1,"y":2},"parts":[{"text":"1"}]}]',
    );
  });

  test("a list without artifacts omits them, one with artifacts may show none", () => {
    const none = openFold("1.0", task10(""));
    expect(member(taskText(none), "artifacts")).toBeUndefined();
    expect(member(taskText(none, { emptyArtifacts: true }), "artifacts")).toBe("[]");
    const one = folded([taskEvent(), artifactEvent('{"artifactId":"a","parts":[]}')]);
    expect(member(taskText(one, { includeArtifacts: false }), "artifacts")).toBeUndefined();
    expect(member(taskText(one, { emptyArtifacts: true }), "artifacts")).toBe('[{"artifactId":"a","parts":[]}]');
  });

  test("ten times the chunks cost about ten times as much", () => {
    const cost = (chunks: number): number => {
      const fold = folded([taskEvent()]);
      const events = Array.from({ length: chunks }, (_, n) =>
        artifactEvent(`{"artifactId":"a","metadata":{"k${n}":1},"parts":[{"text":"${n}"}]}`, true),
      );
      const started = process.hrtime.bigint();
      for (const event of events) foldEvent(fold, event);
      return Number(process.hrtime.bigint() - started);
    };
    // The quickest of several, because whatever else the machine does only adds to each.
    const quickest = (chunks: number) => Math.min(...Array.from({ length: 3 }, () => cost(chunks)));
    quickest(2_000);
    // Linear gives about 10, copying the earlier parts each time 100.
    expect(quickest(30_000) / Math.max(quickest(3_000), 1)).toBeLessThan(60);
  });
});

describe("a task whose first event is no Task", () => {
  test("is submitted, then what its events say", () => {
    const fold = emptyFold("0.3", ids);
    expect(taskText(fold)).toBe('{"kind":"task","id":"T","contextId":"C","status":{"state":"submitted"}}');
    const timestamp = "2026-11-20T10:00:00.000Z";
    foldEvent(fold, {
      kind: "status",
      payload: statusPayload("0.3", { ...ids, state: "working", timestamp, final: false }),
      hidden: null,
    });
    expect(taskText(fold)).toBe(
      `{"kind":"task","id":"T","contextId":"C","status":{"state":"working","timestamp":"${timestamp}"}}`,
    );
    expect(foldHead(fold)).toEqual({ ...ids, state: "working", statusTimestamp: timestamp });
  });

  test("an event of the other dialect changes nothing", () => {
    const fold = emptyFold("0.3", ids);
    const before = taskText(fold);
    foldEvent(fold, statusEvent('"state":"TASK_STATE_COMPLETED"'));
    expect(taskText(fold)).toBe(before);
  });
});

/** The same rules on parsed values, written for clarity alone. */
function modelFold(dialect: Dialect, events: NewEvent[]): unknown {
  type Value = Record<string, unknown>;
  const wire = dialect === "1.0" ? "TASK_STATE_SUBMITTED" : "submitted";
  let task: Value = {
    id: "T",
    contextId: "C",
    status: { state: wire },
    ...(dialect === "0.3" ? { kind: "task" } : {}),
  };
  let opened = false;
  const list = (key: string) => (task[key] ?? []) as Value[];
  const put = (key: string, id: string, entry: Value) => {
    const at = list(key).findIndex((known) => known[id] === entry[id]);
    task[key] = at === -1 ? [...list(key), entry] : list(key).with(at, entry);
  };
  const add = (entry: Value) => {
    if (!list("history").some((known) => known["messageId"] === entry["messageId"])) put("history", "messageId", entry);
  };
  const merge = (into: Value, value: unknown) => {
    if (value !== undefined) into["metadata"] = { ...(into["metadata"] as Value), ...(value as Value) };
  };
  for (const { kind, payload, hidden } of events) {
    const state = ((task["status"] as Value)["state"] as string).toLowerCase().replace("task_state_", "");
    if (["completed", "failed", "canceled", "rejected"].includes(state)) continue;
    const parsed = JSON.parse(payload) as Value;
    const body = (dialect === "1.0" && parsed !== null ? (Object.values(parsed)[0] as Value) : parsed) ?? {};
    const messages = (hidden === null ? [] : JSON.parse(hidden)) as Value[];
    if (kind === "task" && !opened) {
      const own = (body["history"] ?? []) as Value[];
      task = { ...body };
      const missing = messages.filter((said) => own.every((known) => known["messageId"] !== said["messageId"]));
      if (missing.length > 0) task["history"] = [];
      for (const said of missing) add(said);
      for (const said of own) put("history", "messageId", said);
    } else if (kind === "task") {
      const {
        history = [],
        artifacts = [],
        metadata,
        ...others
      } = body as Value & { history?: Value[]; artifacts?: Value[] };
      for (const said of history) put("history", "messageId", said);
      for (const made of artifacts) put("artifacts", "artifactId", made);
      merge(task, metadata);
      Object.assign(task, others);
    }
    if (kind === "task") opened = true;
    for (const said of messages) add(said);
    if (kind === "status") {
      opened = true;
      task["status"] = body["status"];
      const said = (body["status"] as Value)["message"];
      if (said !== undefined) add(said as Value);
      merge(task, body["metadata"]);
    }
    if (kind === "artifact") {
      opened = true;
      const made = body["artifact"] as Value;
      const known = list("artifacts").find((entry) => entry["artifactId"] === made["artifactId"]);
      if (known === undefined || body["append"] !== true) put("artifacts", "artifactId", made);
      else {
        const grown: Value = {
          ...known,
          parts: [...((known["parts"] ?? []) as unknown[]), ...((made["parts"] ?? []) as unknown[])],
        };
        if (made["name"]) grown["name"] = made["name"];
        merge(grown, made["metadata"]);
        put("artifacts", "artifactId", grown);
      }
      merge(task, body["metadata"]);
    }
  }
  return task;
}
