/** Whatever an executor's style, what a client gets through a sidecar is what it gets without one (P10). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import { normalForm } from "./support/normal-form.ts";
import type { Outcome } from "./support/outcome.ts";
import { perform, settledTask, taskAt, taskIdIn } from "./support/outcome.ts";
import type { Json } from "./support/rpc-client.ts";
import { contextIdOf, gather, RpcClient, taskIdOf } from "./support/rpc-client.ts";
import type { Subject } from "./support/subject.ts";
import { JS_03, JS_1, JS_1_COMPAT, RAW_03, RAW_1 } from "./support/subject.ts";

/** What the message says, and the state the task comes to; null where there is no task. */
type Style = [text: string, state: string | null];

const SDK_STYLES: Style[] = [
  ["hello", "completed"],
  ["count 3 every 5ms", "completed"],
  ["slow 50", "completed"],
  ["silent 50", "completed"],
  ["ask", "input-required"],
  ["auth 300", "completed"],
  ["message", null],
  ["message-with-task", "completed"],
  ["task-then-task", "completed"],
  ["task-then-message", "working"],
  ["status-first", "completed"],
  ["throw-before", "failed"],
  ["throw-after", "failed"],
  ["settle", "working"],
  ["fail", "failed"],
  ["reject", "rejected"],
  ["varied", "completed"],
  ["large 100", "completed"],
];

const RAW_STYLES: Style[] = [
  ["count 3 every 5ms", "completed"],
  ["count 3 every 5ms crlf status-first", "completed"],
  ["count 3 every 5ms cr comments java-ids", "completed"],
  ["count 3 every 5ms split go-ids multiline", "completed"],
  ["slow 50", "completed"],
  ["working 100", "completed"],
  ["ask", "input-required"],
  ["auth 100", "completed"],
  ["fail", "failed"],
  ["settle", "working"],
  ["message", null],
];

/** Where the sidecar does not answer as the agent, and why that is meant. */
interface Difference {
  why: string;
  /** What the client is to see instead of the agent's own answer. */
  seen?: (direct: Outcome) => Outcome;
  /** How much of both answers is compared. */
  compares?: (seen: Outcome) => Outcome;
  /** What of both records is compared. */
  record?: (task: Json) => Json;
  /** The agent itself does not know the task, or its end, afterwards. */
  forgotten?: true;
  /** The state the task stays at all the same. */
  state?: string;
}

const withoutHistory = ({ history: _, ...task }: Json) => task;
const withoutMetadata = ({ metadata: _, ...task }: Json) => task;

const untilError: Difference = {
  why: "the SDK breaks its own stream off and works on; the sidecar goes on showing the work",
  compares: (seen) => ({ ...seen, events: seen.events?.slice(0, 1) }),
};
const unheard: Difference = {
  ...untilError,
  why: "the SDK breaks its own stream off and nobody ever learns how the work ended",
  state: "working",
};
const onlyOneEnd: Difference = {
  why: "P6: the SDK sends the end twice, nothing follows a terminal state here",
  seen: (direct) => ({ ...direct, events: direct.events?.slice(0, -1) }),
  record: withoutHistory,
};
const secondEnd: Difference = { why: "P6: the SDK puts a second failure into its history", record: withoutHistory };
const foldedMetadata: Difference = {
  why: "the record is the fold, and a status event's metadata enter the Task",
  record: withoutMetadata,
};

const DIFFERENCES: Record<string, Difference> = {
  "JS 1.3 streaming message-with-task": untilError,
  "JS 1.3 streaming task-then-task": unheard,
  "JS 1.3 streaming task-then-message": untilError,
  "JS 1.3 streaming throw-before": onlyOneEnd,
  "JS 1.3 non-blocking throw-before": secondEnd,
  "JS 1.3 in 0.3 streaming message-with-task": untilError,
  "JS 1.3 in 0.3 streaming task-then-task": unheard,
  "JS 1.3 in 0.3 streaming task-then-message": untilError,
  "JS 1.3 in 0.3 streaming throw-before": onlyOneEnd,
  "JS 1.3 in 0.3 non-blocking throw-before": secondEnd,
  "JS 0.3 streaming message-with-task": {
    ...onlyOneEnd,
    why: "P6: the task is finished when its Message comes",
  },
  "JS 0.3 streaming task-then-task": {
    why: "a second Task event breaks Python clients: what it adds is shown as updates",
    compares: (seen) => ({ ...seen, events: seen.events?.slice(0, 1) }),
  },
  "JS 0.3 streaming status-first": { why: "JS 0.3 does not store a task that begins with a status", forgotten: true },
  "JS 0.3 streaming throw-before": { why: "JS 0.3 ends with a status of a task it never stored", forgotten: true },
  "JS 0.3 streaming throw-after": {
    why: "JS 0.3 makes a task id up where an executor throws; it is this task that failed",
    seen: (direct) => withLast(direct, (result) => ({ ...result, taskId: taskIdIn(direct) })),
    forgotten: true,
  },
  "JS 0.3 non-blocking throw-after": {
    why: "JS 0.3 makes a task id up where an executor throws, and leaves the task at working",
    state: "working",
  },
  "JS 0.3 non-blocking varied": foldedMetadata,
  "JS 0.3 streaming varied": foldedMetadata,
  "raw 1.0 unary working 100": { why: "the agent gave up waiting, the sidecar does not", compares: stateless },
  "raw 0.3 unary working 100": { why: "the agent gave up waiting, the sidecar does not", compares: stateless },
};

const SUBJECTS: { name: string; subject: Subject; styles: Style[] }[] = [
  { name: JS_1.name, subject: JS_1, styles: SDK_STYLES },
  { name: JS_1_COMPAT.name, subject: JS_1_COMPAT, styles: SDK_STYLES },
  { name: JS_03.name, subject: JS_03, styles: SDK_STYLES },
  { name: RAW_1.name, subject: RAW_1, styles: RAW_STYLES },
  { name: RAW_03.name, subject: RAW_03, styles: RAW_STYLES },
];
const TERMINAL = new Set(["completed", "failed", "canceled", "rejected"]);

const fleets = new Map<string, Fleet>();
const fleetKey = ({ agent, flags }: Subject) => [agent, ...flags].join(" ");

beforeAll(async () => {
  await Promise.all(
    [JS_1, JS_03, RAW_1, RAW_03].map(async (subject) => fleets.set(fleetKey(subject), await startFleet(subject))),
  );
});

afterAll(async () => {
  await Promise.all([...fleets.values()].map((fleet) => fleet.stop()));
});

interface Clients {
  /** The agent of replica 0, past its sidecar. */
  direct: RpcClient;
  one: RpcClient;
  other: RpcClient;
}

function clientsFor(subject: Subject): Clients {
  const fleet = fleets.get(fleetKey(subject))!;
  return {
    direct: new RpcClient(fleet.agentUrl(0), subject),
    one: new RpcClient(fleet.url(0), subject),
    other: new RpcClient(fleet.url(1), subject),
  };
}

describe.for(SUBJECTS)("$name", { concurrent: true }, ({ name, subject, styles }) => {
  const rows = styles.flatMap(([text, state]) =>
    (["unary", "non-blocking", "streaming"] as const).map((mode) => {
      const difference = DIFFERENCES[`${name} ${mode} ${text}`];
      return { mode, text, state, difference, but: difference ? `, but ${difference.why}` : "" };
    }),
  );

  test.for(rows)(
    "P10, P1: $mode “$text” is answered as by the agent, and known to the other replica$but",
    async (row) => {
      const { mode, text } = row;
      const state = row.difference?.state ?? row.state;
      const clients = clientsFor(subject);
      const [direct, through] = await Promise.all([
        perform(clients.direct, mode, text),
        perform(clients.one, mode, text),
      ]);
      const { seen, compares, record, forgotten } = { ...PLAIN, ...row.difference };
      expect(shown(compares(through))).toEqual(shown(compares(seen(direct))));

      const id = taskIdIn(through);
      expect(id === "").toBe(taskIdIn(direct) === "");
      if (id === "") return;
      const recorded = await taskAt(clients.other, id, state);
      if (!forgotten) {
        const own = await taskAt(clients.direct, taskIdIn(direct), state);
        expect(normalForm(record(recorded))).toEqual(normalForm(record(own)));
      }
      expect((await clients.one.get(id, 100)).body.result).toEqual(recorded);
      if (state !== null && TERMINAL.has(state)) await expectGaplessReplay(clients.other, id);
    },
  );
});

/** Agents of which every turn brings its own events to the caller's stream, unless the executor is one of these. */
const REPUBLISHING = new Set(["silent 50", "message-with-task", "task-then-task", "task-then-message", "throw-before"]);

describe.for(SUBJECTS)("$name, on a task that goes on", { concurrent: true }, ({ subject, styles }) => {
  const rows = styles.flatMap(([text]) =>
    (["unary", "non-blocking", "streaming"] as const).map((mode) => ({ mode, text })),
  );

  test.for(rows)("P10, P1, P3: $mode “$text” through the other replica", async ({ mode, text }) => {
    const clients = clientsFor(subject);
    const [own, first] = await Promise.all([clients.direct.send("settle"), clients.one.send("settle")]);
    const ids = { direct: taskIdOf(own.body.result), through: taskIdOf(first.body.result) };
    // JS 1.3 cannot stream to a task it knows: what it does with a unary send is what the record is compared with.
    const native = subject === JS_03 || subject === RAW_03;
    const directMode = mode === "streaming" && !native ? "unary" : mode;
    const [direct, through] = await Promise.all([
      perform(clients.direct, directMode, text, { taskId: ids.direct, contextId: contextIdOf(own.body.result) }),
      perform(clients.other, mode, text, { taskId: ids.through, contextId: contextIdOf(first.body.result) }),
    ]);
    const comparable = comparableFor(subject, text);
    // The agent that gives up waiting; and a Message after the end, when the end has answered already.
    const answersEarlier = text === "working 100" || (subject === JS_03 && text === "message-with-task");
    if (mode === "unary" && !answersEarlier) {
      expect(normalForm(comparable(through.body))).toEqual(normalForm(comparable(direct.body)));
    }
    if (mode === "streaming" && native && !REPUBLISHING.has(text)) {
      expect(shown(through)).toEqual(shown(direct));
    }
    expect(through.status).toBe(200);

    const { task, state } = await settledTask(clients.direct, ids.direct);
    const recorded = await taskAt(clients.one, ids.through, state);
    expect(normalForm(comparable(recorded))).toEqual(normalForm(comparable(task)));
    if (TERMINAL.has(state)) await expectGaplessReplay(clients.one, ids.through);
  });
});

const PLAIN = {
  seen: (direct: Outcome) => direct,
  compares: (seen: Outcome) => seen,
  record: (task: Json) => task,
  forgotten: false,
};

/** P3, I1, I6: whoever asks from the beginning gets generations 1, 2, 3 … and then the end. */
async function expectGaplessReplay(client: RpcClient, id: string): Promise<void> {
  const events = await gather(client.subscribe(id, { lastEventId: "0" }));
  expect(events.length).toBeGreaterThan(0);
  expect(events.map((event) => event.id)).toEqual(events.map((_, index) => String(index + 1)));
}

/** The last event changed. */
function withLast(outcome: Outcome, change: (result: Json) => Json): Outcome {
  const events = outcome.events?.map((event, index, all) =>
    index < all.length - 1 ? event : { ...event, body: { ...event.body, result: change(event.body.result) } },
  );
  return { ...outcome, events };
}

/**
 * In normal form. In 0.3 `final` says that the stream closes here; agents do not always know that when they send their
 * last event, the sidecar knows a little more often.
 */
function shown(outcome: Outcome): Json {
  const closing = (result: Json) => (result?.kind === "status-update" ? { ...result, final: true } : result);
  return normalForm(withLast(outcome, closing));
}

/** Only that a Task came. */
function stateless(seen: Outcome): Outcome {
  const { result, ...rest } = seen.body;
  return { ...seen, body: { ...rest, hasTask: taskIdOf(result) !== "" } };
}

/**
 * What is compared of the task after a second turn. SDKs drop the history of earlier turns where an executor publishes
 * a Task again, the record never does; and the record takes a status event's metadata into the Task, JS 0.3 does not.
 */
function comparableFor(subject: Subject, text: string): (value: Json) => Json {
  const hidden = [...(REPUBLISHING.has(text) ? ["history"] : []), ...(subject === JS_03 ? ["metadata"] : [])];
  const visit = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== "object" || value === null) return value;
    const kept = Object.entries(value).filter(([key]) => !hidden.includes(key));
    return Object.fromEntries(kept.map(([key, member]) => [key, visit(member)]));
  };
  return visit;
}
