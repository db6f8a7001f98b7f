/**
 * Carries the appends of every task of this instance to the store, many in one statement.
 *
 * Writes of one task keep their order: a task is in at most one statement at a time, and neighbours that fit together
 * travel as one write. While a statement is under way everything that arrives queues, and the next one takes as much of
 * the queue as its bounds allow. An outage keeps the queue as it is (P11); what a lost reply left open is looked up, not
 * guessed (I2). A write ends as committed, as fenced, or with the error that its own content caused.
 */
import type { Clock } from "../ports/clock.ts";
import { type AppendOutcome, StoreError, type TaskStore, type TaskWrite } from "../ports/task-store.ts";
import { type Group, groupOf, WriteQueue } from "./write-queue.ts";

/** Bounds and observers; every one has a default. */
export interface GroupCommitOptions {
  /** Most events in one statement (a single larger write goes alone). */
  maxRows?: number;
  /** Most characters of payload in one statement (likewise). */
  maxBytes?: number;
  /** Statements under way at once, for different tasks. */
  maxStatements?: number;
  /** Called after each commit with its time and the number of task writes it carried. */
  onCommit?: (seconds: number, writes: number) => void;
  /** Called with each failure that is tried again. */
  onFailure?: (error: StoreError) => void;
  /** 0 ≤ x < 1, for the jitter of the backoff. */
  random?: () => number;
}

const MAX_ROWS = 2000;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_STATEMENTS = 2;
const FIRST_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 1000;
/** Conflicts repeated at once; from then on with the pause of an outage. */
const MAX_EAGER_RETRIES = 5;
/** What a waiting write holds besides its text, about: small events by the ten thousand are mostly that. */
const WRITE_OVERHEAD = 1024;

/** How one statement went; `broken` is an error the port does not know, which no repetition mends. */
type Attempt =
  | { kind: "replied"; outcomes: AppendOutcome[] }
  | { kind: "failed"; error: StoreError }
  | { kind: "broken"; error: unknown };

/** See the head of this file. One per store; `stop` it before the store is closed. */
export class GroupCommit {
  readonly #store: Pick<TaskStore, "append" | "settle">;
  readonly #clock: Clock;
  readonly #options: Required<GroupCommitOptions>;
  readonly #queue = new WriteQueue();
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #drainWaiters: { limitBytes: number; resolve: () => void }[] = [];
  #pendingBytes = 0;
  #scheduled = false;

  constructor(store: Pick<TaskStore, "append" | "settle">, clock: Clock, options: GroupCommitOptions = {}) {
    this.#store = store;
    this.#clock = clock;
    this.#options = {
      maxRows: MAX_ROWS,
      maxBytes: MAX_BYTES,
      maxStatements: MAX_STATEMENTS,
      onCommit: () => undefined,
      onFailure: () => undefined,
      random: Math.random,
      ...options,
    };
  }

  /** About what the writes hold that are accepted and not settled: what an outage makes grow. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Queues a write behind the earlier ones of its task. Rejects with a `rejected` {@link StoreError} when the store will
   * never take the content, or because a write it builds on was rejected, and with `unavailable` after `stop`.
   */
  append(write: TaskWrite): Promise<AppendOutcome> {
    if (this.#stopping.signal.aborted) return Promise.reject(stopped());
    const { promise, resolve, reject } = Promise.withResolvers<AppendOutcome>();
    const bytes = sizeOf(write);
    const held = bytes + WRITE_OVERHEAD;
    const settle = <T>(pass: (value: T) => void) => {
      return (value: T): void => {
        this.#pendingBytes -= held;
        this.#wakeDrainWaiters();
        pass(value);
      };
    };
    this.#pendingBytes += held;
    this.#queue.push({ write, bytes, resolve: settle(resolve), reject: settle(reject) });
    this.#schedule();
    return promise;
  }

  /** Resolves when at most `limitBytes` are pending: the brake for whoever produces faster than the store records. */
  drained(limitBytes: number): Promise<void> {
    if (this.#pendingBytes <= limitBytes) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drainWaiters.push({ limitBytes, resolve });
    return promise;
  }

  /** Rejects what waits and what is being tried again; resolves when no statement is under way any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const pending of this.#queue.clear()) pending.reject(stopped());
    await Promise.all(this.#underWay);
  }

  /** Everything that arrives before the next turn of the event loop shares a statement. */
  #schedule(): void {
    if (this.#scheduled || this.#underWay.size >= this.#options.maxStatements) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#start();
    });
  }

  #start(): void {
    while (this.#underWay.size < this.#options.maxStatements) {
      const groups = this.#queue.take(this.#options.maxRows, this.#options.maxBytes);
      if (groups.length === 0) return;
      const run: Promise<void> = this.#commit(groups).finally(() => {
        this.#underWay.delete(run);
        for (const { taskId } of groups) this.#queue.release(taskId);
        this.#start();
      });
      this.#underWay.add(run);
    }
  }

  /** Brings each of the groups to an end. Never rejects. */
  async #commit(groups: Group[]): Promise<void> {
    let open = groups;
    for (let failures = 0; open.length > 0; failures += 1) {
      if (this.#stopping.signal.aborted) return failAll(open, stopped());
      const attempt = await this.#send(open);
      if (attempt.kind === "replied") return this.#settle(open, attempt.outcomes);
      if (attempt.kind === "broken") return failAll(open, attempt.error);
      const { error } = attempt;
      if (error.kind === "rejected") return this.#split(open, error);
      this.#options.onFailure(error);
      if (error.kind !== "conflict" || failures >= MAX_EAGER_RETRIES) await this.#backOff(failures);
      if (error.kind === "unknown-outcome") open = await this.#lookUp(open);
    }
  }

  async #send(groups: Group[]): Promise<Attempt> {
    const startMs = this.#clock.monotonicMs();
    let outcomes: AppendOutcome[];
    try {
      outcomes = await this.#store.append(groups.map(({ write }) => write));
    } catch (error) {
      return error instanceof StoreError ? { kind: "failed", error } : { kind: "broken", error };
    }
    this.#options.onCommit((this.#clock.monotonicMs() - startMs) / 1000, groups.length);
    return { kind: "replied", outcomes };
  }

  /**
   * A statement whose reply was lost may still have run after it was looked up, and made its own repetition look
   * fenced: such a write is looked up once more.
   */
  async #settle(groups: Group[], outcomes: AppendOutcome[]): Promise<void> {
    const doubtful: Group[] = [];
    groups.forEach((group, index) => {
      const outcome = outcomes[index] as AppendOutcome;
      if (outcome.kind === "fenced" && group.doubtful) doubtful.push(group);
      else this.#resolve(group, outcome);
    });
    if (doubtful.length > 0) for (const group of await this.#lookUp(doubtful)) this.#resolve(group, { kind: "fenced" });
  }

  /** Settles the groups whose outcome the record shows, and returns those that are not in it. */
  async #lookUp(groups: Group[]): Promise<Group[]> {
    for (let failures = 0; !this.#stopping.signal.aborted; failures += 1) {
      try {
        const states = await this.#store.settle(groups.map(({ write }) => write));
        return groups.filter((group, index) => {
          group.doubtful = true;
          if (states[index] === "unsent") return true;
          this.#resolve(
            group,
            states[index] === "committed"
              ? { kind: "committed", promoted: null, failed: [], closed: [] }
              : { kind: "fenced" },
          );
          return false;
        });
      } catch (error) {
        if (!(error instanceof StoreError)) {
          failAll(groups, error);
          return [];
        }
        this.#options.onFailure(error);
        await this.#backOff(failures);
      }
    }
    return groups;
  }

  /** Finds the write the store rejects by halving, so that only its own task fails. */
  async #split(groups: Group[], error: StoreError): Promise<void> {
    const [only] = groups;
    if (groups.length > 1) {
      const half = Math.ceil(groups.length / 2);
      await this.#commit(groups.slice(0, half));
      return this.#commit(groups.slice(half));
    }
    if (only === undefined) return;
    const [first, ...others] = only.members;
    if (others.length === 0) {
      failAll([only], error);
      for (const pending of this.#queue.drop(only.taskId)) pending.reject(error);
      return;
    }
    this.#queue.putBack(only.taskId, others);
    const alone: Group = { ...groupOf([first]), doubtful: only.doubtful };
    return this.#commit([alone]);
  }

  #resolve(group: Group, outcome: AppendOutcome): void {
    const last = group.members.length - 1;
    group.members.forEach((member, index) => {
      const own =
        outcome.kind === "fenced" || index === last ? outcome : { ...outcome, promoted: null, failed: [], closed: [] };
      member.resolve(own);
    });
    if (outcome.kind === "fenced") this.#fence(group);
  }

  /** What waits behind a fenced write of the same epoch builds on events that are not in the record. */
  #fence({ taskId, write }: Group): void {
    const waiting = this.#queue.drop(taskId);
    const [fenced, others] = [
      waiting.filter((p) => p.write.epoch <= write.epoch),
      waiting.filter((p) => p.write.epoch > write.epoch),
    ];
    for (const pending of fenced) pending.resolve({ kind: "fenced" });
    this.#queue.putBack(taskId, others);
  }

  async #backOff(failures: number): Promise<void> {
    const ceilingMs = Math.min(FIRST_BACKOFF_MS * 2 ** failures, MAX_BACKOFF_MS);
    await this.#clock.sleep(ceilingMs * (0.5 + this.#options.random() / 2), this.#stopping.signal);
  }

  #wakeDrainWaiters(): void {
    if (this.#drainWaiters.length === 0) return;
    const ready = this.#drainWaiters.filter(({ limitBytes }) => this.#pendingBytes <= limitBytes);
    this.#drainWaiters = this.#drainWaiters.filter(({ limitBytes }) => this.#pendingBytes > limitBytes);
    for (const { resolve } of ready) resolve();
  }
}

function failAll(groups: Group[], error: unknown): void {
  for (const { members } of groups) for (const pending of members) pending.reject(error);
}

function stopped(): StoreError {
  return new StoreError("unavailable", "recording was stopped");
}

function sizeOf(write: TaskWrite): number {
  let size = write.snapshot?.task.length ?? 0;
  for (const { payload, hidden } of write.events) size += payload.length + (hidden?.length ?? 0);
  return size;
}
