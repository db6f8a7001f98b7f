// A steady load: unary calls that are never repeated, and streams that resume. It goes on until it is stopped and
// then tells everything that broke a promise.

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { converse, converseWithMixedPods, type Endpoint, send } from "./conversation.ts";
import { describeTurns } from "./describe-turns.ts";

/** How much. */
export interface LoadOptions {
  /** Unary calls a second. */
  readonly callsPerSecond?: number;
  /** Milliseconds that the agent takes for one more call each second: shorter than the grace of every pod. None without it. */
  readonly longCallMs?: number;
  /** Streams that run at any time; a new one starts when one has ended. */
  readonly streams?: number;
  /**
   * Numbers that the longest stream counts to, ten a second: with twice as many two cores have nothing left for pods that
   * start. The others are shorter, so that they do not end together.
   */
  readonly streamLength?: number;
  /** Whether pods without a sidecar answer as well, as while sidecars come or go. */
  readonly isMixed?: boolean;
}

/** What happened. */
export interface LoadReport {
  readonly calls: number;
  readonly streams: number;
  readonly events: number;
  /** Streams that needed more than one connection. */
  readonly resumed: number;
  /** Ids of the messages that streams sent. */
  readonly messageIds: readonly string[];
  /** Empty when every call was answered and every stream was complete. */
  readonly failures: readonly string[];
}

/** A running load. */
export interface Load {
  /** Starts nothing more, waits for what is under way, resolves to the account. */
  stop(): Promise<LoadReport>;
}

/** Failed calls whose turns are told. */
const MOST_DESCRIBED = 5;

/** The text that `count N` ends with. */
export function countedTo(length: number): string {
  return Array.from({ length }, (_, index) => `${index + 1} `).join("");
}

/** Failures of one kind, told in one line: a thousand lines of the same hide the one that matters. */
class Failures {
  readonly #kinds = new Map<string, { readonly at: number[]; readonly took: number[]; readonly taskIds: string[] }>();

  add(at: { readonly seconds: number; readonly took: number }, what: string, taskId?: string): void {
    const kind = this.#kinds.get(what) ?? { at: [], took: [], taskIds: [] };
    this.#kinds.set(what, kind);
    kind.at.push(at.seconds);
    kind.took.push(at.took);
    if (taskId !== undefined) kind.taskIds.push(taskId);
  }

  lines(): readonly string[] {
    const range = (values: readonly number[]): string =>
      `${Math.min(...values).toFixed(1)}–${Math.max(...values).toFixed(1)} s`;
    return [...this.#kinds].map(([what, { at, took, taskIds }]) => {
      const span = `${range(at)}, over after ${range(took)}`;
      const tasks = taskIds.length === 0 ? "" : `, task ${taskIds.slice(0, 3).join(", ")}`;
      return `${at.length} × ${what} (started at ${span}${tasks})`;
    });
  }
}

/** Starts a load on `endpoint`. */
export function startLoad(endpoint: Endpoint, options: LoadOptions = {}): Load {
  const { callsPerSecond = 50, longCallMs = 0, streams = 10, streamLength = 50, isMixed = false } = options;
  const failures = new Failures();
  const messageIds: string[] = [];
  const failedMessageIds: string[] = [];
  const count = { calls: 0, streams: 0, events: 0, resumed: 0 };
  const stopping = new AbortController();
  const since = (startedAt: number): number => (startedAt - begun) / 1000;
  const spanOf = (startedAt: number) => ({ seconds: since(startedAt), took: (Date.now() - startedAt) / 1000 });
  const begun = Date.now();

  const callOnce = async (ms: number): Promise<void> => {
    const startedAt = Date.now();
    const messageId = randomUUID();
    const answer = await send(endpoint, `slow ${ms}`, messageId);
    count.calls += 1;
    if (answer.kind !== "failed") return;
    failures.add(spanOf(startedAt), `call of ${ms} ms: ${answer.why}`);
    failedMessageIds.push(messageId);
  };

  const streamOnce = async (length: number): Promise<void> => {
    const startedAt = Date.now();
    const outcome = await (isMixed ? converseWithMixedPods : converse)(`count ${length} every 100ms`, endpoint);
    count.streams += 1;
    messageIds.push(outcome.messageId);
    count.events += outcome.generations.length;
    if (outcome.connections > 1) count.resumed += 1;
    const note = (what: string): void => failures.add(spanOf(startedAt), `stream: ${what}`, outcome.taskId);
    for (const problem of outcome.problems) note(problem);
    if (outcome.problems.length > 0) return;
    if (outcome.state !== "TASK_STATE_COMPLETED") note(`ended as ${outcome.state}`);
    else if (outcome.text !== countedTo(length)) note(`counted "${outcome.text}"`);
  };

  const callsOf = async (ms: number, perSecond: number): Promise<void> => {
    const open = new Set<Promise<void>>();
    for (let started = 0; !stopping.signal.aborted; ) {
      // By the clock, so that a busy machine makes calls late and not fewer.
      for (; started < since(Date.now()) * perSecond; started += 1) {
        const running: Promise<void> = callOnce(ms).finally(() => open.delete(running));
        open.add(running);
      }
      await delay(1000 / perSecond);
    }
    await Promise.all(open);
  };

  const streamLoop = async (index: number): Promise<void> => {
    const length = Math.ceil((streamLength * (streams + index + 1)) / (2 * streams));
    while (!stopping.signal.aborted) await streamOnce(length);
  };

  const calls = [
    ...(callsPerSecond > 0 ? [callsOf(20, callsPerSecond)] : []),
    ...(longCallMs > 0 ? [callsOf(longCallMs, 1)] : []),
  ];
  const loops = [...calls, ...Array.from({ length: streams }, (_, index) => streamLoop(index))];
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(loops);
      const recorded = await describeTurns(failedMessageIds.slice(0, MOST_DESCRIBED));
      return { ...count, messageIds, failures: [...failures.lines(), ...recorded] };
    },
  };
}
