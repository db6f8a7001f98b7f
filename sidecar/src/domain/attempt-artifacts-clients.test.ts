import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { type ClientTask, clientFolds } from "../../test/support/client-folds.ts";
import {
  artifact,
  chunk,
  isBlank,
  RecordedTurn,
  type Shown,
  shownBy,
  taskEvent,
} from "../../test/support/recorded-turn.ts";
import { dialects, ids } from "../../test/support/task-events.ts";
import type { NewEvent } from "../ports/task-store.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { turnArtifactIds } from "./attempt-artifacts.ts";
import { emptyFold, foldEvent, rebuildFold, snapshotText, taskText } from "./fold.ts";

const byId = (one: Shown, other: Shown) => (one.id < other.id ? -1 : 1);

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
