/** Random tasks and events of both dialects, in the raw spellings of {@link valueText}. */
import fc from "fast-check";
import type { TaskState } from "../../src/domain/task-state.ts";
import type { NewEvent } from "../../src/ports/task-store.ts";
import type { Dialect } from "../../src/protocol/dialect.ts";
import { wrapTask } from "../../src/protocol/events.ts";
import { oneLine, quote } from "../../src/protocol/raw-json.ts";
import { stateName } from "../../src/protocol/states.ts";
import { objectText, stringText, valueText } from "./json-text.ts";

export const ids = { taskId: "T", contextId: "C" };

export const dialects: fc.Arbitrary<Dialect> = fc.constantFrom("0.3", "1.0");

const line = (text: fc.Arbitrary<string>) => text.map(oneLine);
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const members = (entries: [key: string, value: string | undefined][]): string =>
  `{${entries.flatMap(([key, value]) => (value === undefined ? [] : [`"${key}":${value}`])).join(",")}}`;
const timestamps = fc.constantFrom(
  '"2026-11-20T10:00:00.000Z"',
  '"2026-11-20T10:00:01.000+00:00"',
  '"2026-11-20T10:00:02.123456Z"',
  undefined,
);

const part = (dialect: Dialect): fc.Arbitrary<string> =>
  fc.oneof(
    line(stringText).map((text) => (dialect === "1.0" ? `{"text":${text}}` : `{"kind":"text","text":${text}}`)),
    line(dialect === "1.0" ? valueText : objectText).map((data) =>
      dialect === "1.0" ? `{ "data":${data}}` : `{"kind":"data","data":${data} }`,
    ),
  );

const metadata = some(
  fc
    .dictionary(fc.constantFrom("a", "b", "c"), line(valueText), { maxKeys: 3 })
    .map((entries) => members(Object.entries(entries))),
);

export const message = (dialect: Dialect): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom("m1", "m2", "m3", "m4", "m5"), fc.array(part(dialect), { maxLength: 2 }))
    .map(([id, parts]) =>
      members([
        ["kind", dialect === "0.3" ? '"message"' : undefined],
        ["messageId", quote(id)],
        ["role", dialect === "1.0" ? '"ROLE_AGENT"' : '"agent"'],
        ["parts", `[${parts.join(", ")}]`],
      ]),
    );

export const artifact = (dialect: Dialect): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom("a1", "a2", "a3"),
      some(line(stringText)),
      metadata,
      some(fc.array(part(dialect), { maxLength: 3 })),
    )
    .map(([id, name, meta, parts]) =>
      members([
        ["artifactId", quote(id)],
        ["name", name],
        ["parts", parts === undefined ? undefined : `[${parts.join(",")}]`],
        ["metadata", meta],
      ]),
    );

const live = fc.constantFrom<TaskState>("submitted", "working", "input-required", "auth-required", "unknown");
const anyState = fc.oneof(
  { weight: 5, arbitrary: live },
  fc.constantFrom<TaskState>("completed", "failed", "canceled", "rejected"),
);

const status = (dialect: Dialect, states: fc.Arbitrary<TaskState>): fc.Arbitrary<string> =>
  fc.tuple(states, some(message(dialect)), timestamps).map(([state, text, timestamp]) =>
    members([
      ["state", quote(stateName(dialect, state))],
      ["message", text],
      ["timestamp", timestamp],
    ]),
  );

/** A bare Task. */
export const task = (dialect: Dialect, states: fc.Arbitrary<TaskState> = live): fc.Arbitrary<string> =>
  fc
    .tuple(
      status(dialect, states),
      some(fc.uniqueArray(artifact(dialect), { maxLength: 3, selector: (text) => /"a\d"/.exec(text)?.[0] })),
      some(fc.uniqueArray(message(dialect), { maxLength: 4, selector: (text) => /"m\d"/.exec(text)?.[0] })),
      metadata,
      some(line(valueText)),
    )
    .map(([state, artifacts, history, meta, extra]) =>
      members([
        ["id", '"T"'],
        ["contextId", '"C"'],
        ["status", state],
        ["x-agent", extra],
        ["artifacts", artifacts === undefined ? undefined : `[${artifacts.join(",")}]`],
        ["metadata", meta],
        ["history", history === undefined ? undefined : `[${history.join(",")}]`],
        ["kind", dialect === "0.3" ? '"task"' : undefined],
      ]),
    );

/** A task that is finished or not. */
export const anyTask = (dialect: Dialect): fc.Arbitrary<string> => task(dialect, anyState);

const update = (dialect: Dialect, wrapper: string, kind: string, entries: [string, string | undefined][]): string => {
  const body = members([
    ["kind", dialect === "0.3" ? quote(kind) : undefined],
    ["taskId", '"T"'],
    ["contextId", '"C"'],
    ...entries,
  ]);
  return dialect === "1.0" ? `{"${wrapper}":${body}}` : body;
};

const updateEvent = (dialect: Dialect): fc.Arbitrary<Omit<NewEvent, "hidden">> =>
  fc.oneof(
    fc.tuple(status(dialect, anyState), metadata).map(([state, meta]) => ({
      kind: "status" as const,
      payload: update(dialect, "statusUpdate", "status-update", [
        ["status", state],
        ["final", dialect === "0.3" ? "false" : undefined],
        ["metadata", meta],
      ]),
    })),
    fc
      .tuple(artifact(dialect), fc.constantFrom("true", "true", "false", undefined), metadata)
      .map(([text, append, meta]) => ({
        kind: "artifact" as const,
        payload: update(dialect, "artifactUpdate", "artifact-update", [
          ["artifact", text],
          ["append", append],
          ["metadata", meta],
        ]),
      })),
  );

const taskEvent = (dialect: Dialect): fc.Arbitrary<Omit<NewEvent, "hidden">> =>
  task(dialect).map((text) => ({ kind: "task" as const, payload: wrapTask(dialect, text) }));

const otherEvent = fc.constantFrom<Omit<NewEvent, "hidden">>(
  { kind: "other", payload: '{"unheard":1}' },
  { kind: "other", payload: "null" },
);

const withHidden = (dialect: Dialect, event: fc.Arbitrary<Omit<NewEvent, "hidden">>): fc.Arbitrary<NewEvent> =>
  fc
    .tuple(event, fc.option(fc.array(message(dialect), { minLength: 1, maxLength: 2 }), { freq: 2 }))
    .map(([base, hidden]) => ({ ...base, hidden: hidden === null ? null : `[${hidden.join(",")}]` }));

/** A task's events from the first one on. */
export const history = (dialect: Dialect): fc.Arbitrary<NewEvent[]> =>
  fc
    .tuple(
      withHidden(dialect, fc.oneof(taskEvent(dialect), updateEvent(dialect))),
      fc.array(
        withHidden(
          dialect,
          fc.oneof(
            { weight: 10, arbitrary: updateEvent(dialect) },
            { weight: 1, arbitrary: taskEvent(dialect) },
            { weight: 1, arbitrary: otherEvent },
          ),
        ),
        { maxLength: 12 },
      ),
    )
    .map(([first, rest]) => [first, ...rest]);

/** A dialect and events in it. */
export const dialectAndHistory: fc.Arbitrary<{ dialect: Dialect; events: NewEvent[] }> = dialects.chain((dialect) =>
  history(dialect).map((events) => ({ dialect, events })),
);
