/** The judge of chaos runs finds what is wrong, and nothing where all is well. */
import { describe, expect, test } from "vitest";
import { type Evidence, judge, type TurnRecord } from "./judgement.ts";

const turn: TurnRecord = {
  messageId: "m",
  taskId: "t",
  state: "done",
  attempt: 1,
  handovers: 0,
  firstGeneration: 1,
  lastGeneration: 4,
  refused: false,
};
const retried = { ...turn, attempt: 2 };
const started = (...pods: number[]) => pods.map((replica) => ({ messageId: "m", replica }));

/** One message, streamed to its end, run once, and nothing was done to anybody. */
const well: Evidence = {
  sent: [{ messageId: "m", conversation: "c", streamed: { first: 1, last: 4 } }],
  turns: [turn],
  starts: started(0),
  exhausted: new Set(),
  tasks: new Map([["t", [1, 1, 1, 1]]]),
  harmed: new Set(),
  maxAttempts: 3,
};

const rows: [string, Partial<Evidence>, string[]][] = [
  ["one message, run once", {}, []],
  [
    "run again after its pod was harmed",
    { turns: [retried], starts: started(0, 1), harmed: new Set([0]), tasks: new Map([["t", [1, 1, 2, 2]]]) },
    [],
  ],
  [
    "handed over as often as there are restarts",
    { turns: [{ ...turn, attempt: 6, handovers: 4 }], starts: started(0, 1, 0, 1), harmed: new Set([0, 1]) },
    [],
  ],
  [
    "refused, then accepted",
    { turns: [{ ...turn, taskId: null, firstGeneration: null, lastGeneration: null, refused: true }, turn] },
    [],
  ],
  ["a message without a trace", { turns: [], tasks: new Map(), starts: [] }, ["P4: c, message m, has left no trace"]],
  [
    "a message that was only refused",
    { turns: [{ ...turn, taskId: null, state: "failed", refused: true }], tasks: new Map(), starts: [] },
    ["P4: c, message m, was only ever refused"],
  ],
  [
    "one message, two turns",
    {
      turns: [turn, { ...turn, taskId: "u" }],
      starts: started(0),
      tasks: new Map([...well.tasks, ["u", [1, 1, 1, 1]]]),
    },
    ["P7: c, message m, became 2 turns"],
  ],
  ["a task of no message", { tasks: new Map([...well.tasks, ["u", [1]]]) }, ["P7: task u is the task of no message"]],
  [
    "a turn of a message that nobody sent",
    { turns: [turn, { ...turn, messageId: "n" }] },
    ["P4: a turn of a message that nobody sent"],
  ],
  ["a task that is gone", { tasks: new Map() }, ["P4: c, message m, its task is not in the record"]],
  [
    "started twice in one attempt",
    { starts: started(0, 0), harmed: new Set([0]) },
    ["I5: c, message m, was started 2 times in 1 attempts"],
  ],
  ["done without a start", { starts: [] }, ["P4: c, message m, was never started and is done"]],
  [
    "run again although nothing happened",
    { turns: [retried], starts: started(0, 1) },
    ["I5: c, message m, was started on the pods 0 1, harmed were none"],
  ],
  [
    "tried again although nothing happened, before it was started",
    { turns: [retried] },
    ["I5: c, message m, was started on the pods 0, harmed were none"],
  ],
  [
    "run again although it was another pod that was harmed",
    { turns: [retried], starts: started(0, 1), harmed: new Set([2]) },
    ["I5: c, message m, was started on the pods 0 1, harmed were 2"],
  ],
  [
    "tried too often",
    { turns: [{ ...turn, attempt: 4 }], starts: started(0), harmed: new Set([0]) },
    ["P4: c, message m, was tried 4 times"],
  ],
  [
    "given up too early, hand-overs counted",
    {
      turns: [{ ...turn, state: "failed", attempt: 3, handovers: 1 }],
      starts: started(0, 0),
      harmed: new Set([0]),
      exhausted: new Set(["t"]),
    },
    ["P8: c, message m, was given up after 2 tries"],
  ],
  [
    "a deposed attempt that recorded",
    {
      turns: [retried],
      starts: started(0, 1),
      harmed: new Set([0]),
      tasks: new Map([["t", [1, 2, 1, 2]]]),
    },
    ["I5: c, message m, has events of the attempts 1 2 1 2"],
  ],
  [
    "a stream that began late",
    { sent: [{ messageId: "m", conversation: "c", streamed: { first: 2, last: 4 } }] },
    ["P3: c, message m, was streamed from 2 to 4"],
  ],
  [
    "a stream that ended early",
    { sent: [{ messageId: "m", conversation: "c", streamed: { first: 1, last: 3 } }] },
    ["P3: c, message m, was streamed from 1 to 3"],
  ],
];

describe("the judge", () => {
  test.each(rows)("%s", (_name, change, expected) => {
    const found = judge({ ...well, ...change }).map(({ promise, what }) => `${promise}: ${what.split(":")[0]}`);
    expect(found).toEqual(expected);
  });
});
