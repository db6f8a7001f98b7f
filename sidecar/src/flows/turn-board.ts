/**
 * Who waits for which turn on this instance.
 *
 * A turn that runs here announces its progress in memory. A turn that runs elsewhere is followed by its row: a relay
 * message says "look", and a slow poll looks anyway (P11). Every watch is closed by whoever opened it.
 */
import type { Clock } from "../ports/clock.ts";
import type { Relay, RelaySubscription } from "../ports/relay.ts";
import type { TaskStore, TurnReply, TurnRow } from "../ports/task-store.ts";
import type { Logger } from "./logger.ts";

export type TurnProgress =
  | { kind: "pending"; taken: boolean }
  | { kind: "bound"; taskId: string; firstGeneration: number }
  /** Its row is gone: nobody runs it as far as the record knows, and whoever waits must send it again. */
  | { kind: "lost" }
  | TurnEnded;

export interface TurnEnded {
  kind: "ended";
  state: "done" | "failed";
  taskId: string | null;
  firstGeneration: number | null;
  lastGeneration: number | null;
  reply: TurnReply | null;
  /** Payload of the turn's only event where that is the agent's whole Task, so that it can be answered as it came. */
  onlyTask: string | null;
}

/** A queued message whose task ended before the agent got it. */
export function unsentTurn(taskId: string): TurnEnded {
  const none = { firstGeneration: null, lastGeneration: null, reply: null, onlyTask: null };
  return { kind: "ended", state: "failed", taskId, ...none };
}

export interface TurnWatch {
  readonly progress: TurnProgress;
  /** Resolves when `progress` differs from `seen`, or when the signal aborts. */
  changed(seen: TurnProgress, signal?: AbortSignal): Promise<void>;
  close(): void;
}

const POLL_CONNECTED_MS = 1000;
const POLL_DISCONNECTED_MS = 300;
/** A row that a crash of the store took is put back a moment later by the instance that runs it. */
const MOST_MISSES = 2;

export class TurnBoard {
  readonly #store: TaskStore;
  readonly #relay: Relay;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();
  readonly #stopped = new AbortController();
  #polling: Promise<void> | null = null;

  constructor(deps: { store: TaskStore; relay: Relay; clock: Clock; log: Logger }) {
    this.#store = deps.store;
    this.#relay = deps.relay;
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  /** Turns watched at this moment. */
  get size(): number {
    return this.#entries.size;
  }

  /** Progress of a turn that runs here; tells local watchers at once and the other instances over the relay. */
  announce(turnId: string, progress: TurnProgress): void {
    this.#entries.get(turnId)?.update(progress);
    if (progress.kind !== "pending") this.#relay.publishTurn({ turnId });
  }

  /** The turn has ended with its task, by something else than its own run: whoever waits, here or elsewhere, reads its row. */
  endedElsewhere(turnId: string): void {
    this.handOff(turnId);
    this.#relay.publishTurn({ turnId });
  }

  /** Whether anybody here waits for the turn. */
  isWatched(turnId: string): boolean {
    return this.#entries.has(turnId);
  }

  /** The turn went on elsewhere (this instance was deposed): local watchers follow its row from here on. */
  handOff(turnId: string): void {
    const entry = this.#entries.get(turnId);
    if (entry) this.#followRow(turnId, entry);
  }

  /** `local`: this instance runs it and will announce; otherwise its row is followed. */
  watch(turnId: string, mode: "local" | "remote"): TurnWatch {
    let entry = this.#entries.get(turnId);
    if (!entry) {
      entry = new Entry();
      this.#entries.set(turnId, entry);
    }
    const held = entry;
    held.watchers += 1;
    if (mode === "remote") this.#followRow(turnId, held);
    let closed = false;
    return {
      get progress() {
        return held.progress;
      },
      changed: (seen, signal) => held.changed(seen, signal),
      close: () => {
        if (closed) return;
        closed = true;
        held.watchers -= 1;
        if (held.watchers > 0) return;
        held.subscription?.leave();
        this.#entries.delete(turnId);
      },
    };
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#polling;
  }

  #followRow(turnId: string, entry: Entry): void {
    if (entry.subscription) return;
    entry.subscription = this.#relay.joinTurn(turnId, () => void this.#look([turnId]));
    void entry.subscription.joined.then(() => this.#look([turnId]));
    this.#polling ??= this.#poll();
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#clock.sleep(this.#relay.connected ? POLL_CONNECTED_MS : POLL_DISCONNECTED_MS, signal);
      const open = [...this.#entries].filter(([, entry]) => entry.subscription && entry.progress.kind !== "ended");
      if (open.length === 0 || signal.aborted) continue;
      const found = await this.#look(open.map(([turnId]) => turnId));
      if (found) for (const [turnId, entry] of open) entry.wasThere(found.has(turnId));
    }
  }

  /** The turns that have a row; null when the record could not be asked. */
  async #look(turnIds: string[]): Promise<Set<string> | null> {
    try {
      const rows = await this.#store.readTurns(turnIds);
      for (const row of rows) this.#entries.get(row.id)?.update(progressOf(row));
      return new Set(rows.map(({ id }) => id));
    } catch (error) {
      this.#log.debug({ err: error }, "turns not readable, polled again later");
      return null;
    }
  }
}

class Entry {
  progress: TurnProgress = { kind: "pending", taken: false };
  watchers = 0;
  subscription: RelaySubscription | null = null;
  #waiters = new Set<() => void>();
  #misses = 0;

  update(progress: TurnProgress): void {
    if (isAhead(progress, this.progress)) this.#set(progress);
  }

  /** What a poll has found; a row that is missing time and again is lost. */
  wasThere(there: boolean): void {
    this.#misses = there ? 0 : this.#misses + 1;
    if (this.#misses === MOST_MISSES && this.progress.kind !== "ended") this.#set({ kind: "lost" });
  }

  #set(progress: TurnProgress): void {
    this.progress = progress;
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }

  changed(seen: TurnProgress, signal?: AbortSignal): Promise<void> {
    if (this.progress !== seen || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener("abort", wake);
        this.#waiters.delete(wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }
}

/** Rows are read late and out of order: progress only goes forward; a row that is back after all goes before none. */
function isAhead(next: TurnProgress, current: TurnProgress): boolean {
  return rankOf(next) > rankOf(current);
}

function rankOf(progress: TurnProgress): number {
  if (progress.kind === "pending") return progress.taken ? 1 : 0;
  return { lost: -1, bound: 2, ended: 3 }[progress.kind];
}

/** What a Turn's row says about its progress. */
export function progressOf(row: TurnRow): TurnProgress {
  if (row.state === "done" || row.state === "failed") {
    return {
      kind: "ended",
      state: row.state,
      taskId: row.taskId,
      firstGeneration: row.firstGeneration,
      lastGeneration: row.lastGeneration,
      reply: row.reply,
      onlyTask: null,
    };
  }
  if (row.state === "bound" && row.taskId !== null && row.firstGeneration !== null) {
    return { kind: "bound", taskId: row.taskId, firstGeneration: row.firstGeneration };
  }
  return { kind: "pending", taken: row.state === "dispatched" || row.state === "bound" };
}
