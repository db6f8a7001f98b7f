import { isTerminal } from "../domain/task-state.ts";
import type { Clock } from "../ports/clock.ts";
import type { Relay } from "../ports/relay.ts";
import { StoreError, type TaskStore } from "../ports/task-store.ts";
import type { Logger } from "./logger.ts";
import type { TaskFeeds } from "./task-feeds.ts";

export interface SafetyPollDeps {
  feeds: TaskFeeds;
  relay: Relay;
  store: Pick<TaskStore, "readPositions">;
  clock: Clock;
  log: Logger;
  /** Milliseconds between two polls while the relay is connected, and while it is not. Default 1000 and 300. */
  intervalMs?: number;
  awayIntervalMs?: number;
}

export interface SafetyPoll {
  stop(): void;
  /** Settles when the loop has ended after `stop`; never rejects. */
  readonly done: Promise<void>;
}

/**
 * Asks the record, in one statement per second (300 ms while the relay is down), where the tasks stand whose readers
 * wait and that were not heard of lately, so that a lost relay message costs time and never an event (P11). Polls at
 * once when the relay comes back.
 */
export function startSafetyPoll(deps: SafetyPollDeps): SafetyPoll {
  const stopped = new AbortController();
  let nap = new AbortController();
  let reconnected = false;
  deps.relay.onReconnect(() => {
    reconnected = true;
    nap.abort();
  });

  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const intervalMs = deps.relay.connected ? (deps.intervalMs ?? 1_000) : (deps.awayIntervalMs ?? 300);
      nap = new AbortController();
      if (!reconnected) await deps.clock.sleep(intervalMs, AbortSignal.any([nap.signal, stopped.signal]));
      if (stopped.signal.aborted) return;
      // Half an interval of silence: a task spoken of just before the last poll must not have to wait for two more.
      const silentMs = reconnected ? 0 : intervalMs / 2;
      reconnected = false;
      await pollOnce(deps, silentMs);
    }
  };
  const done = run().catch((error: unknown) => {
    deps.log.error({ err: error }, "the safety poll ended by a bug: lost relay messages are no longer made up for");
  });
  return { stop: () => stopped.abort(), done };
}

async function pollOnce(deps: SafetyPollDeps, silentMs: number): Promise<void> {
  const unseen = deps.feeds.silent(silentMs);
  if (unseen.size === 0) return;
  try {
    for (const { taskId, generation, state } of await deps.store.readPositions([...unseen.keys()])) {
      deps.feeds.stands({ taskId, generation, terminal: isTerminal(state), asked: unseen.get(taskId) ?? 0 });
      unseen.delete(taskId);
    }
    for (const taskId of unseen.keys()) deps.feeds.vanished(taskId);
  } catch (error) {
    // The next round asks again; who waits for events waits a round longer.
    if (!(error instanceof StoreError)) throw error;
    deps.log.debug({ code: error.kind, tasks: unseen.size }, "asking where the watched tasks stand failed");
  }
}
