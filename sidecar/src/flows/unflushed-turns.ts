/**
 * The turns this instance has journaled so lately that a crash of the store may have taken their rows: that insert does not
 * wait for the disk (G11). While the row is gone the same send, on another instance, would be run a second time (P7). So
 * after an interruption nothing is asked of the store before it has these turns again.
 *
 * What is not known to have been interrupted is found missing by the watch over runs without a task.
 */
import type { Clock } from "../ports/clock.ts";
import type { RecoveryStore } from "../ports/recovery-store.ts";
import { type JournalOutcome, type NewTurn, StoreError, type TaskStore } from "../ports/task-store.ts";
import type { Logger } from "./logger.ts";

/** The server writes an unflushed commit within three times its `wal_writer_delay` (200 ms, where nobody changed it). */
const FLUSHED_AFTER_MS = 2_000;

type AnyCall = (...args: unknown[]) => Promise<unknown>;

export class UnflushedTurns {
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Oldest first. */
  readonly #turns = new Map<string, { turn: NewTurn; journaledMs: number }>();
  #interrupted = false;
  #restoring: Promise<void> | null = null;

  constructor(deps: { clock: Clock; log: Logger }) {
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  /** A connection broke, for whatever reason: the server may have crashed. */
  suspectCrash(): void {
    this.#interrupted = true;
  }

  /** The same store, which after an interruption gets back first what it may have lost. */
  guard<S extends TaskStore & RecoveryStore>(store: S): S {
    const durable = <A extends unknown[], R>(
      write: (...args: A) => Promise<R>,
      turnIdOf: (outcome: R, ...args: A) => string | null,
    ) => {
      return async (...args: A): Promise<R> => {
        const outcome = await write(...args);
        const turnId = turnIdOf(outcome, ...args);
        if (turnId !== null) this.#turns.delete(turnId);
        return outcome;
      };
    };
    const noted = {
      journal: async (turn: NewTurn): Promise<JournalOutcome> => {
        const outcome = await store.journal(turn);
        this.#note(turn, outcome);
        return outcome;
      },
      createTask: durable(store.createTask.bind(store), ({ kind }, { turnId }) => (kind === "created" ? turnId : null)),
      endTurn: durable(store.endTurn.bind(store), ({ kind }, { turnId }) => (kind === "ended" ? turnId : null)),
      beginAttempt: durable(store.beginAttempt.bind(store), (begun) => begun?.id ?? null),
    };
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = name in noted ? noted[name as keyof typeof noted] : Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        const call = value.bind(target) as AnyCall;
        return name === "close" ? call : (...args: unknown[]) => this.#ask(store, () => call(...args));
      },
    });
  }

  async #ask(store: TaskStore, call: () => Promise<unknown>): Promise<unknown> {
    if (this.#interrupted) await this.#restore(store);
    const sentMs = this.#clock.monotonicMs();
    try {
      const answer = await call();
      if (!this.#interrupted) this.#forget(sentMs);
      return answer;
    } catch (error) {
      if (error instanceof StoreError && (error.kind === "unavailable" || error.kind === "unknown-outcome")) {
        this.suspectCrash();
      }
      throw error;
    }
  }

  #note(turn: NewTurn, outcome: JournalOutcome): void {
    // A message to a task, and one for another instance, did wait for the disk.
    if (outcome.kind !== "inserted" || outcome.turn.state !== "dispatched" || turn.taskId !== null) return;
    this.#turns.set(turn.id, { turn, journaledMs: this.#clock.monotonicMs() });
  }

  /** A statement sent so much later was answered: what was journaled before that is on the disk. */
  #forget(sentMs: number): void {
    for (const [id, { journaledMs }] of this.#turns) {
      if (sentMs - journaledMs < FLUSHED_AFTER_MS) return;
      this.#turns.delete(id);
    }
  }

  #restore(store: TaskStore): Promise<void> {
    this.#restoring ??= this.#putBack(store).finally(() => {
      this.#restoring = null;
    });
    return this.#restoring;
  }

  async #putBack(store: TaskStore): Promise<void> {
    const turns = [...this.#turns.values()].map(({ turn }) => turn);
    const restored = turns.length === 0 ? [] : await store.restoreTurns(turns);
    if (restored.length > 0) this.#log.warn({ turns: restored.length }, "put messages back that the store had lost");
    this.#interrupted = false;
  }
}
