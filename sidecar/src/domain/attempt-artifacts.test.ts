import { describe, expect, it, test } from "vitest";
import { artifact, chunk, part, RecordedTurn, status, task, taskEvent } from "../../test/support/recorded-turn.ts";
import { ids } from "../../test/support/task-events.ts";
import type { NewEvent } from "../ports/task-store.ts";
import { AttemptArtifacts, blankEvents } from "./attempt-artifacts.ts";
import { differenceFrom } from "./difference.ts";
import { artifactOf, foldEvent, rebuildFold, snapshotText, taskText } from "./fold.ts";

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
