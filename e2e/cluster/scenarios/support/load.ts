// A steady load: short unary calls that are never repeated, and streams that resume. It goes on until it is stopped and
// then tells everything that broke a promise.

import { setTimeout as delay } from "node:timers/promises";
import { converse, type Endpoint, send } from "./conversation.ts";

/** How much. */
export interface LoadOptions {
  /** Unary calls a second. */
  readonly callsPerSecond?: number;
  /** Streams that run at any time; a new one starts when one has ended. */
  readonly streams?: number;
  /** Numbers that each stream counts to, 20 a second. */
  readonly streamLength?: number;
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

/** The text that `count N` ends with. */
export function countedTo(length: number): string {
  return Array.from({ length }, (_, index) => `${index + 1} `).join("");
}

/** Starts a load on `endpoint`. */
export function startLoad(endpoint: Endpoint, options: LoadOptions = {}): Load {
  const { callsPerSecond = 50, streams = 10, streamLength = 100 } = options;
  const failures: string[] = [];
  const messageIds: string[] = [];
  const count = { calls: 0, streams: 0, events: 0, resumed: 0 };
  const stopping = new AbortController();
  const since = (startedAt: number): string => `${((startedAt - begun) / 1000).toFixed(1)} s`;
  const begun = Date.now();

  const callOnce = async (): Promise<void> => {
    const startedAt = Date.now();
    const answer = await send(endpoint, "slow 20");
    count.calls += 1;
    if (answer.kind === "failed") failures.push(`call at ${since(startedAt)}: ${answer.why}`);
  };

  const streamOnce = async (): Promise<void> => {
    const startedAt = Date.now();
    const outcome = await converse(`count ${streamLength} every 50ms`, endpoint);
    count.streams += 1;
    messageIds.push(outcome.messageId);
    count.events += outcome.generations.length;
    if (outcome.connections > 1) count.resumed += 1;
    const about = `stream at ${since(startedAt)}, task ${outcome.taskId}`;
    failures.push(...outcome.problems.map((problem) => `${about}: ${problem}`));
    if (outcome.problems.length > 0) return;
    if (outcome.state !== "TASK_STATE_COMPLETED") failures.push(`${about}: ended as ${outcome.state}`);
    else if (outcome.text !== countedTo(streamLength)) failures.push(`${about}: counted "${outcome.text}"`);
  };

  const calls = async (): Promise<void> => {
    const open = new Set<Promise<void>>();
    while (!stopping.signal.aborted) {
      const running: Promise<void> = callOnce().finally(() => open.delete(running));
      open.add(running);
      await delay(1000 / callsPerSecond);
    }
    await Promise.all(open);
  };

  const streamLoop = async (): Promise<void> => {
    while (!stopping.signal.aborted) await streamOnce();
  };

  const loops = [...(callsPerSecond > 0 ? [calls()] : []), ...Array.from({ length: streams }, () => streamLoop())];
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(loops);
      return { ...count, messageIds, failures };
    },
  };
}
