/** What the raw agent works on, by the command of the message. */
import { setTimeout as delay } from "node:timers/promises";
import type { RawTask } from "./raw-task.ts";

/** Starts the work of a new task. Commands that only concern the transport count, so that there is something to see. */
export async function executeNew(task: RawTask): Promise<void> {
  if (!task.script.statusFirst) await task.emitTask();
  await (task.script.statusFirst ? task.emitStatus("submitted") : task.emitStatus("working"));
  switch (task.script.command) {
    case "ask":
      await task.emitStatus("input-required", "Which colour?");
      return;
    case "auth":
      await task.emitStatus("auth-required", "waiting for a credential");
      return finishAfter(task, task.script.amount);
    case "wait-cancel":
      return finishAfter(task, 600_000);
    case "slow":
    case "working":
      return finishAfter(task, task.script.amount);
    case "fail":
      await task.emitStatus("failed", "it did not work out");
      return;
    case "settle":
      return;
    case "blast":
      return countTo(task, task.script.amount, null);
    case "cut":
    case "truncate":
    case "error-event":
    case "error-data":
      return countTo(task, task.script.amount * 2, task.script.everyMs);
    default:
      return countTo(task, task.script.amount, task.script.everyMs);
  }
}

/** Takes the answer to `ask`. */
export async function executeAnswer(task: RawTask, text: string): Promise<void> {
  await task.emitStatus("working");
  await task.emitChunk(task.words.textPart(`You said ${text}`), { append: false, lastChunk: true });
  await task.emitStatus("completed");
}

/** `everyMs` null = as fast as the listeners take it. */
async function countTo(task: RawTask, total: number, everyMs: number | null): Promise<void> {
  const { words, script } = task;
  for (let n = 1; n <= total; n++) {
    if (everyMs !== null) await pause(task, everyMs);
    if (task.cancelled.signal.aborted) return endCanceled(task);
    const rawPart = script.oddities.big ? words.awkwardPart() : words.textPart(`${n} `);
    const wait = task.emitChunk(rawPart, { append: n > 1, lastChunk: n === total });
    if (wait !== undefined) await wait;
  }
  await task.emitStatus("completed");
}

async function finishAfter(task: RawTask, ms: number): Promise<void> {
  await pause(task, ms);
  if (task.cancelled.signal.aborted) return endCanceled(task);
  await task.emitChunk(task.words.textPart("done at last"), { append: false, lastChunk: true });
  await task.emitStatus("completed");
}

async function endCanceled(task: RawTask): Promise<void> {
  await task.emitStatus("canceled", "stopped on request");
}

async function pause(task: RawTask, ms: number): Promise<void> {
  await delay(ms, undefined, { signal: task.cancelled.signal }).catch(() => undefined);
}
