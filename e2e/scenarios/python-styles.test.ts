/** Whatever a Python executor does, what a client gets through a sidecar is what it gets without one (P10). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import { normalForm } from "./support/normal-form.ts";
import type { Mode, Outcome } from "./support/outcome.ts";
import { perform, settledTask, taskIdIn } from "./support/outcome.ts";
import { pythonPeersOrSkip } from "./support/python-judge.ts";
import type { Json } from "./support/rpc-client.ts";
import { RpcClient } from "./support/rpc-client.ts";
import type { Subject } from "./support/subject.ts";
import { PY_03, PY_1, PY_1_COMPAT } from "./support/subject.ts";

const built = pythonPeersOrSkip("Python executors in every mode");

const TEXTS = [
  "hello",
  "count 6 every 60ms",
  "drafts 2 every 30ms",
  "slow 50",
  "silent 50",
  "ask",
  "message",
  "throw",
  "settle",
];
const MODES: Mode[] = ["unary", "non-blocking", "streaming"];

describe.skipIf(!built).for([PY_1, PY_1_COMPAT, PY_03])("$name", { concurrent: true }, (subject: Subject) => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await startFleet(subject);
  });
  afterAll(() => fleet?.stop());

  // There the stream of Python 0.3 breaks off: nothing to compare with (see python-sources).
  const breaks = ({ mode, text }: { mode: Mode; text: string }) =>
    subject === PY_03 && mode === "streaming" && text === "throw";
  const rows = MODES.flatMap((mode) => TEXTS.map((text) => ({ mode, text }))).filter((row) => !breaks(row));

  test.for(rows)(
    "P10, P1: $mode “$text” is answered as by the agent, and known to the other replica",
    {
      timeout: 20_000,
    },
    async ({ mode, text }) => {
      const direct = new RpcClient(fleet.agentUrl(0), subject);
      const through = new RpcClient(fleet.url(0), subject);
      const other = new RpcClient(fleet.url(1), subject);
      const [own, seen] = await Promise.all([perform(direct, mode, text), perform(through, mode, text)]);
      // Python 1.x breaks its stream off with an error and calls the task failed; here its end is shown.
      const toItsEnd =
        subject !== PY_03 && mode === "streaming" && text === "throw" ? withoutLast : (all: Outcome) => all;
      expect(shown(toItsEnd(seen))).toEqual(shown(toItsEnd(own)));
      if (taskIdIn(own) === "") return;
      const [ownTask, seenTask] = await Promise.all([
        settledTask(direct, taskIdIn(own)),
        settledTask(other, taskIdIn(seen)),
      ]);
      expect(seenTask.state).toBe(ownTask.state);
      expect(normalForm(comparable(seenTask.task))).toEqual(normalForm(comparable(ownTask.task)));
    },
  );
});

/**
 * What is compared of the record. It has the message of a status in its history at once, as JS agents do, where Python
 * waits for the next status; and the user's message as it was sent, where a stream of Python 0.3 brought no Task with it.
 */
function comparable(task: Json): Json {
  const history: Json[] = task.history ?? [];
  const said = history.filter(({ messageId }) => messageId !== task.status.message?.messageId);
  return { ...task, history: said.map(({ taskId: _, contextId: __, ...message }) => message) };
}

/** In normal form. In 0.3 `final` says that the stream closes here; the sidecar knows that a little more often. */
function shown(seen: Outcome): Json {
  const events = seen.events?.map((event, n, { length }) => {
    const { result } = event.body;
    const closes = n === length - 1 && result?.kind === "status-update";
    return closes ? { ...event, body: { ...event.body, result: { ...result, final: true } } } : event;
  });
  return normalForm({ ...seen, events });
}

function withoutLast(seen: Outcome): Outcome {
  return { ...seen, events: seen.events?.slice(0, -1) };
}
