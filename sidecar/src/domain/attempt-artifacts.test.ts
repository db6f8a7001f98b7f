import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { type ClientArtifact, type ClientTask, clientFolds } from "../../test/support/client-folds.ts";
import { dialects, ids } from "../../test/support/task-events.ts";
import type { NewEvent } from "../ports/task-store.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { artifactPayload, eventBody, statusPayload, wrapTask } from "../protocol/events.ts";
import { quote } from "../protocol/raw-json.ts";
import { AttemptArtifacts, type BrokenTurn, blankEvents, turnArtifactIds } from "./attempt-artifacts.ts";
import { BLANKED_KEY } from "./blanked-artifact.ts";
import { differenceFrom } from "./difference.ts";
import { artifactOf, emptyFold, type Fold, foldEvent, rebuildFold, snapshotText, taskText } from "./fold.ts";

const wireState = (dialect: Dialect, state: string) =>
  dialect === "1.0" ? `TASK_STATE_${state.toUpperCase()}` : state;
const part = (dialect: Dialect, text: string) =>
  dialect === "1.0" ? `{"text":${quote(text)}}` : `{"kind":"text","text":${quote(text)}}`;
const artifact = (dialect: Dialect, id: string, ...texts: string[]) =>
  `{"artifactId":${quote(id)},"name":${quote(`name of ${texts[0] ?? id}`)},"parts":[${texts.map((text) => part(dialect, text)).join(",")}]}`;
const task = (dialect: Dialect, ...artifacts: string[]) =>
  `{${dialect === "0.3" ? '"kind":"task",' : ""}"id":"T","contextId":"C","status":{"state":"${wireState(dialect, "working")}"},"artifacts":[${artifacts.join(",")}]}`;
const taskEvent = (dialect: Dialect, ...artifacts: string[]): NewEvent => ({
  kind: "task",
  payload: wrapTask(dialect, task(dialect, ...artifacts)),
  hidden: null,
});
const chunk = (dialect: Dialect, text: string, append = false): NewEvent => ({
  kind: "artifact",
  payload: artifactPayload(dialect, { ...ids, artifact: text, append }),
  hidden: null,
});
const status = (dialect: Dialect, state: "working" | "completed"): NewEvent => ({
  kind: "status",
  payload: statusPayload(dialect, { ...ids, state, timestamp: "2026-11-20T10:00:00.000Z", final: state !== "working" }),
  hidden: null,
});

/** A turn whose attempts all break but the last, recorded as its owners would. */
class RecordedTurn {
  readonly dialect: Dialect;
  readonly fold: Fold;
  readonly before: Fold | null;
  /** All events of the task, and those of the turn. */
  readonly all: NewEvent[];
  readonly rows: NewEvent[] = [];
  #artifacts: AttemptArtifacts | null = null;

  constructor(dialect: Dialect, earlier: NewEvent[] = []) {
    this.dialect = dialect;
    this.all = [...earlier];
    this.fold = rebuildFold(dialect, null, ids, earlier);
    this.before = earlier.length === 0 ? null : rebuildFold(dialect, null, ids, earlier);
  }

  get broken(): BrokenTurn {
    return { artifactIds: turnArtifactIds(this.dialect, this.rows), before: this.before };
  }

  /** What an agent emits, in the ids of this attempt. A Task after the first event enters by the difference rule. */
  emit(events: NewEvent[]): this {
    for (const event of events) {
      const { kind, body } = eventBody(this.dialect, event.payload);
      if (kind === "task" && this.all.length > 0) this.#record(this.difference(body));
      else this.#record([{ ...event, payload: this.#artifacts?.adopt(event.payload) ?? event.payload }]);
    }
    return this;
  }

  difference(agentTask: string): NewEvent[] {
    return differenceFrom(this.fold, this.#artifacts?.adoptTask(agentTask) ?? agentTask, { fresh: true });
  }

  breakOff(): this {
    const { broken } = this;
    this.#record([status(this.dialect, "working"), ...blankEvents(this.fold, broken)]);
    return this.reattach();
  }

  /** Another process goes on with the same run: it knows only the record. */
  reattach(): this {
    this.#artifacts = new AttemptArtifacts(this.fold, this.broken);
    return this;
  }

  /** What get shows. */
  get task(): ClientTask {
    return JSON.parse(taskText(this.fold)) as ClientTask;
  }

  shown(): Shown[] {
    return shownBy(this.task);
  }

  #record(events: NewEvent[]): void {
    for (const event of events) {
      foldEvent(this.fold, event);
      this.all.push(event);
      this.rows.push(event);
    }
  }
}

const byId = (one: Shown, other: Shown) => (one.id < other.id ? -1 : 1);

interface Shown {
  id: string;
  texts: string[];
}

const isBlank = ({ metadata }: ClientArtifact) => metadata?.[BLANKED_KEY] === true;

/** The artifacts a client has that are not blank, without their names. */
function shownBy(folded: ClientTask): Shown[] {
  return (folded.artifacts ?? [])
    .filter((entry) => !isBlank(entry))
    .map((entry) => ({ id: entry.artifactId, texts: entry.parts.map((one) => one.text ?? "") }));
}

describe.each(["0.3", "1.0"] as const)("a new attempt in %s", (dialect) => {
  const one = (id: string, ...texts: string[]) => chunk(dialect, artifact(dialect, id, ...texts));
  const more = (id: string, ...texts: string[]) => chunk(dialect, artifact(dialect, id, ...texts), true);
  const first = taskEvent(dialect);

  test("artifacts of the broken attempt are blanked: same id and name, one empty text, out of get and list", () => {
    const turn = new RecordedTurn(dialect).emit([first, one("a", "1"), more("a", "2"), one("b", "3")]).breakOff();
    const empty = part(dialect, "");
    const blank = (id: string, name: string) =>
      `{"artifactId":"${id}","name":"${name}","parts":[${empty}],"metadata":{"durable-agent.dev/blanked":true}}`;
    expect(turn.rows.slice(-2)).toEqual([
      chunk(dialect, blank("a", "name of 2")),
      chunk(dialect, blank("b", "name of 3")),
    ]);
    expect(taskText(turn.fold)).not.toContain("artifacts");
    expect(taskText(turn.fold, { emptyArtifacts: true })).toContain('"artifacts":[]');
    expect(snapshotText(turn.fold)).toContain(blank("a", "name of 2"));
  });

  test("artifacts of the Task that opened it too", () => {
    const turn = new RecordedTurn(dialect).emit([taskEvent(dialect, artifact(dialect, "a", "1"))]).breakOff();
    expect(turn.shown()).toEqual([]);
  });

  test("what is blank already is not blanked again", () => {
    const turn = new RecordedTurn(dialect).emit([first, one("a", "1"), one("b", "2")]).breakOff();
    turn.emit([one("x", "3")]).breakOff();
    expect(turn.rows.slice(-1)[0]?.payload).toContain('"artifactId":"a"');
    expect(turn.rows.slice(-2)[0]?.kind).toBe("status");
  });

  test("nothing is blanked in a task that has ended", () => {
    const turn = new RecordedTurn(dialect).emit([first, one("a", "1"), status(dialect, "completed")]);
    expect(blankEvents(turn.fold, turn.broken)).toEqual([]);
  });

  it.each<[string, string[], string[], string[]]>([
    ["the same ids keep their places", ["a", "b"], ["b", "a"], ["b", "a"]],
    ["other ids take the places in order", ["a", "b"], ["x", "y"], ["a", "b"]],
    ["an equal id among others", ["r1", "sum", "r2"], ["s1", "sum", "s2"], ["r1", "sum", "r2"]],
    ["an equal id first", ["r1", "sum"], ["sum", "s1"], ["sum", "r1"]],
    ["more than before keep their own", ["a"], ["x", "y", "z"], ["a", "y", "z"]],
    ["one whose own place is taken takes another", ["a", "b"], ["x", "a"], ["a", "b"]],
    ["one whose own place is taken, with none free, gets a name", ["a"], ["x", "a", "a-2"], ["a", "a-2", "a-2-2"]],
  ])("artifact ids: %s", (_, broken, emitted, places) => {
    const turn = new RecordedTurn(dialect).emit([first, ...broken.map((id) => one(id, "old"))]).breakOff();
    turn.emit(emitted.map((id) => one(id, id)));
    turn.emit(emitted.map((id) => more(id, "more")));
    const shown = turn.shown();
    expect(places.map((place) => shown.find(({ id }) => id === place)?.texts)).toEqual(
      emitted.map((id) => [id, "more"]),
    );
  });

  test("the third attempt continues the places of the first", () => {
    const turn = new RecordedTurn(dialect).emit([first, one("a", "1"), one("b", "2")]).breakOff();
    turn.emit([one("x", "3")]).breakOff();
    turn.emit([one("p", "4"), one("q", "5"), one("r", "6")]);
    expect(turn.shown()).toEqual([
      { id: "a", texts: ["4"] },
      { id: "b", texts: ["5"] },
      { id: "r", texts: ["6"] },
    ]);
  });

  test("the first chunk replaces although the agent says append, the next ones append", () => {
    const turn = new RecordedTurn(dialect).emit([first, one("a", "1")]).breakOff();
    turn.emit([more("a", "2"), more("a", "3"), more("new", "4"), more("new", "5")]);
    expect(turn.shown()).toEqual([
      { id: "a", texts: ["2", "3"] },
      { id: "new", texts: ["4", "5"] },
    ]);
    expect(turn.rows.slice(-4).map(({ payload }) => payload.includes('"append":true'))).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });

  test("what needs no change keeps its bytes", () => {
    const turn = new RecordedTurn(dialect).emit([first, one("a", "1")]).breakOff();
    const artifacts = new AttemptArtifacts(turn.fold, turn.broken);
    const inner = '{ "artifactId" : "a" , "parts":[{"data":{"n":9007199254740993,"n":1e400}}], "artifactId":"\\u0061"}';
    const payload = chunk(dialect, inner).payload;
    expect(artifacts.adopt(payload)).toBe(payload);
    const renamed = chunk(dialect, inner.replaceAll(/"a"|"\\u0061"/g, '"x"')).payload;
    expect(new AttemptArtifacts(turn.fold, turn.broken).adopt(renamed)).toBe(
      chunk(dialect, inner.replaceAll(/"\\u0061"/g, '"a"')).payload,
    );
    const other = status(dialect, "working").payload;
    expect(artifacts.adopt(other)).toBe(other);
  });

  test("artifacts of earlier turns: what the attempt changed is restored, the rest is left alone", () => {
    const earlier = [taskEvent(dialect, artifact(dialect, "e1", "kept"), artifact(dialect, "e2", "kept"))];
    const turn = new RecordedTurn(dialect, earlier);
    turn.emit([status(dialect, "working"), more("e1", "wrong"), one("e2", "wrong"), one("a", "1")]).breakOff();
    expect(turn.shown()).toEqual([
      { id: "e1", texts: ["kept"] },
      { id: "e2", texts: ["kept"] },
    ]);
    expect(turn.breakOff().rows.slice(-1)[0]?.kind).toBe("status");
    turn.emit([more("e1", "and more"), one("x", "2")]);
    expect(turn.shown()).toEqual([
      { id: "e1", texts: ["kept", "and more"] },
      { id: "e2", texts: ["kept"] },
      { id: "a", texts: ["2"] },
    ]);
  });

  test("a name that is made up is nobody else's", () => {
    const earlier = [taskEvent(dialect, artifact(dialect, "a-2", "kept"))];
    const turn = new RecordedTurn(dialect, earlier).emit([one("a", "old")]).breakOff();
    turn.emit([one("x", "1"), one("a", "2")]);
    expect(turn.shown()).toEqual([
      { id: "a-2", texts: ["kept"] },
      { id: "a", texts: ["1"] },
      { id: "a-3", texts: ["2"] },
    ]);
  });

  test("a Task of the new attempt replaces what is blank, and its chunks go on from there", () => {
    const turn = new RecordedTurn(dialect).emit([first, one("a", ""), one("b", "2")]).breakOff();
    turn.emit([taskEvent(dialect, artifact(dialect, "x", "")), more("x", "3"), one("y", "4")]);
    expect(turn.shown()).toEqual([
      { id: "a", texts: ["", "3"] },
      { id: "b", texts: ["4"] },
    ]);
    expect(turn.all.filter(({ kind }) => kind === "task")).toHaveLength(1);
  });

  test("a Task that was read before a chunk does not stand in its way", () => {
    const turn = new RecordedTurn(dialect).emit([first, one("a", "1")]).breakOff();
    const artifacts = new AttemptArtifacts(turn.fold, turn.broken);
    artifacts.adoptTask(task(dialect, artifact(dialect, "x", "2")));
    const adopted = artifacts.adopt(more("x", "2").payload);
    foldEvent(turn.fold, { kind: "artifact", payload: adopted, hidden: null });
    expect(turn.shown()).toEqual([{ id: "a", texts: ["2"] }]);
  });
});

describe("blanked artifacts in the fold", () => {
  const blank = '{"artifactId":"a","parts":[{"text":""}],"metadata":{"durable-agent.dev/blanked":true}}';
  const folded = (...events: NewEvent[]) => rebuildFold("1.0", null, ids, [taskEvent("1.0"), ...events]);

  it.each<[string, NewEvent[], boolean]>([
    ["blank", [chunk("1.0", blank)], true],
    [
      "blank, with metadata merged",
      [chunk("1.0", blank), chunk("1.0", '{"artifactId":"a","metadata":{"k":1},"parts":[]}', true)],
      true,
    ],
    [
      "something appended",
      [chunk("1.0", blank), chunk("1.0", '{"artifactId":"a","parts":[{"text":""}]}', true)],
      false,
    ],
    ["replaced", [chunk("1.0", blank), chunk("1.0", '{"artifactId":"a","parts":[{"text":""}]}')], false],
    ["marked, with a text", [chunk("1.0", blank.replace('""', '"x"'))], false],
    ["marked false", [chunk("1.0", blank.replace("true", "false"))], false],
    [
      "the mark in a part",
      [chunk("1.0", '{"artifactId":"a","parts":[{"text":"","metadata":{"durable-agent.dev/blanked":true}}]}')],
      false,
    ],
  ])("%s", (_, events, blanked) => {
    const fold = folded(...events);
    expect(artifactOf(fold, "a")?.blanked).toBe(blanked);
    expect(taskText(fold).includes('"artifactId":"a"')).toBe(!blanked);
    const again = rebuildFold("1.0", snapshotText(fold), ids, []);
    expect(artifactOf(again, "a")?.blanked).toBe(blanked);
  });

  test("what is appended to a blank one that has been looked at shows", () => {
    const fold = folded(chunk("1.0", blank));
    expect(taskText(fold)).not.toContain("artifactId");
    foldEvent(fold, chunk("1.0", '{"artifactId":"a","parts":[{"text":"x"}]}', true));
    expect(taskText(fold)).toContain("artifactId");
  });

  test("a live Task whose artifact has no parts yet replaces a blank one", () => {
    const fold = folded(chunk("1.0", blank));
    const bare = '{"artifactId":"a","parts":[]}';
    expect(differenceFrom(fold, task("1.0", bare))).toEqual([chunk("1.0", bare)]);
  });

  test("an agent's Task that says the same of a blank one makes no difference", () => {
    const fold = folded(chunk("1.0", blank));
    expect(differenceFrom(fold, snapshotText(fold))).toEqual([]);
  });
});

/** Chunks of an attempt: of artifacts of ids of its own, of ids every attempt uses, of artifacts of earlier turns. */
const script = (dialect: Dialect, attempt: number): fc.Arbitrary<NewEvent[]> =>
  fc
    .array(
      fc.tuple(
        fc.constantFrom(`own-${attempt}-1`, `own-${attempt}-2`, `own-${attempt}-3`, "same-1", "same-2", "e1", "e2"),
        fc.boolean(),
      ),
      { maxLength: 9 },
    )
    .map((chunks) =>
      chunks.map(([id, append], index) => chunk(dialect, artifact(dialect, id, `${attempt}.${index}`), append)),
    );

const brokenTurnIn = (dialect: Dialect) =>
  fc.record({
    dialect: fc.constant(dialect),
    earlier: fc.constantFrom<NewEvent[]>(
      [],
      [taskEvent(dialect, artifact(dialect, "e1", "earlier 1"), artifact(dialect, "e2", "earlier 2"))],
    ),
    attempts: fc
      .integer({ min: 2, max: 4 })
      .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => script(dialect, index + 1)))),
  });
const brokenTurn = dialects.chain(brokenTurnIn);

/** What one unbroken run of the last attempt comes to. */
function unbroken(dialect: Dialect, earlier: NewEvent[], last: NewEvent[]): string[] {
  const fold = rebuildFold(dialect, null, ids, earlier.length === 0 ? [taskEvent(dialect)] : earlier);
  for (const event of last) foldEvent(fold, event);
  return contents(JSON.parse(taskText(fold)) as ClientTask, earlier);
}

/** What a client has, in any order, without ids but those of artifacts of earlier turns. */
function contents(folded: ClientTask, earlier: NewEvent[]): string[] {
  const named = turnArtifactIds("0.3", earlier).concat(turnArtifactIds("1.0", earlier));
  return shownBy(folded)
    .map(({ id, texts }) => `${named.includes(id) ? id : "*"}: ${texts.join(" ")}`)
    .sort();
}

function recordAll({ dialect, earlier, attempts }: { dialect: Dialect; earlier: NewEvent[]; attempts: NewEvent[][] }) {
  const turn = new RecordedTurn(dialect, earlier);
  if (earlier.length === 0) turn.emit([taskEvent(dialect)]);
  attempts.forEach((events, index) => {
    if (index > 0) turn.breakOff();
    turn.emit(events);
  });
  return turn;
}

describe("P4: whoever folds the events ends with the last attempt's content only", () => {
  test("get and list", () => {
    fc.assert(
      fc.property(brokenTurn, (given) => {
        const expected = unbroken(given.dialect, given.earlier, given.attempts.at(-1) ?? []);
        expect(contents(recordAll(given).task, given.earlier)).toEqual(expected);
      }),
      { numRuns: 400 },
    );
  });

  it.each(clientFolds)("a client on $client", async ({ dialect, fold }) => {
    await fc.assert(
      fc.asyncProperty(brokenTurnIn(dialect), async (given) => {
        // An agent that appends to what it never made is an error of its own in Python, in any attempt but a restarted one.
        const attempts = given.attempts.map((events, index) => (index === 0 ? events.map(asFirst) : events));
        const turn = recordAll({ ...given, attempts });
        const folded = await fold(turn.all);
        const expected = unbroken(given.dialect, given.earlier, attempts.at(-1) ?? []);
        expect(contents(folded, given.earlier)).toEqual(expected);
        const blank = (folded.artifacts ?? []).filter(isBlank).map(({ parts }) => parts.map((one) => one.text));
        expect(blank).toEqual(blank.map(() => [""]));
      }),
      { numRuns: 100 },
    );
  });

  test("one who subscribes in the middle ends there too", () => {
    fc.assert(
      fc.property(brokenTurn, fc.nat(40), (given, at) => {
        const turn = recordAll(given);
        const middle = rebuildFold(given.dialect, null, ids, turn.all.slice(0, at));
        const joined = rebuildFold(given.dialect, taskText(middle), ids, turn.all.slice(at));
        expect(shownBy(JSON.parse(taskText(joined)) as ClientTask).sort(byId)).toEqual(turn.shown().sort(byId));
      }),
      { numRuns: 200 },
    );
  });
});

describe("I3: a snapshot keeps what is blank", () => {
  test("folding a snapshot and the events after it gives the same as folding all events", () => {
    fc.assert(
      fc.property(brokenTurn, fc.nat(40), (given, at) => {
        const { all, fold, dialect } = recordAll(given);
        const snapshot = snapshotText(rebuildFold(dialect, null, ids, all.slice(0, Math.max(at, 1))));
        const resumed = rebuildFold(dialect, snapshot, ids, all.slice(Math.max(at, 1)));
        expect(snapshotText(resumed)).toBe(snapshotText(fold));
        expect(taskText(resumed)).toBe(taskText(fold));
      }),
      { numRuns: 200 },
    );
  });
});

describe("re-attaching to a run", () => {
  test("the agent's Task finds its artifacts where another process has recorded them", () => {
    fc.assert(
      fc.property(brokenTurn, (given) => {
        const turn = recordAll(given);
        const agent = emptyFold(given.dialect, ids);
        foldEvent(agent, given.earlier[0] ?? taskEvent(given.dialect));
        for (const event of given.attempts.at(-1) ?? []) foldEvent(agent, event);
        const found = turn.reattach().difference(taskText(agent));
        expect(found.filter(({ kind }) => kind === "artifact")).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});

function asFirst(event: NewEvent): NewEvent {
  return { ...event, payload: event.payload.replace('"append":true', '"append":false') };
}
