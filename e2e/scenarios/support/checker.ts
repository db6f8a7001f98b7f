/**
 * Holds what clients were shown against the record. Clients report while they read; the record as a whole is looked at
 * when everything is at rest. What does not hold is collected, each with the promise or invariant it breaks.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import type { RecordedEvent } from "./checker-fold.ts";
import { canonicalTask, endsTerminal, foldAll } from "./checker-fold.ts";
import type { Dialect } from "./checker-wire.ts";
import { isTerminalState, plainState, withoutFinal } from "./checker-wire.ts";

/** One event as a client has just read it. */
export interface ShownEvent {
  /** Which reader, for the message. */
  reader: string;
  taskId: string;
  generation: number;
  /** Raw JSON text of the result. */
  payload: string;
}

/** A whole Task as a client got it: the first event of a subscription, or the answer of a call. */
export interface ShownTask {
  reader: string;
  taskId: string;
  /** Raw JSON text of the bare Task. */
  task: string;
  /** The generation it was shown as; null where the answer does not say. */
  generation: number | null;
  /** Somebody had been shown this generation before the call was made. */
  notBefore: number;
}

interface TaskHead {
  id: string;
  contextId: string;
  generation: number;
  epoch: number;
  state: string;
  finished: boolean;
  snapshot: string | null;
  snapshotGeneration: number | null;
  turnsInFlight: number;
}

export class Checker {
  readonly violations: string[] = [];
  /** Events shown to clients, counted per client. */
  shownEvents = 0;
  readonly #pool: pg.Pool;
  readonly #agentKey: string;
  readonly #dialect: Dialect;
  readonly #payloads = new Map<string, string>();
  readonly #heads = new Map<string, number>();
  readonly #tasks: ShownTask[] = [];
  readonly #looking = new Set<Promise<void>>();
  readonly #patient: boolean;

  /** `patient`: a database that does not answer is asked again; for tests that take it away. */
  constructor(pool: pg.Pool, agentKey: string, dialect: Dialect, { patient = false } = {}) {
    this.#patient = patient;
    this.#pool = pool;
    this.#agentKey = agentKey;
    this.#dialect = dialect;
  }

  violate(promise: string, what: string): void {
    this.violations.push(`${promise}: ${what}`);
  }

  /** The newest generation any client was shown of this task; 0 before the first. */
  headOf(taskId: string): number {
    return this.#heads.get(taskId) ?? 0;
  }

  /** Asks the record at once whether it has the event (P2) and compares it with what others were shown (P3). */
  shown(event: ShownEvent): void {
    this.shownEvents += 1;
    this.#heads.set(event.taskId, Math.max(event.generation, this.headOf(event.taskId)));
    const name = `${event.reader}, task ${event.taskId}, generation ${event.generation}`;
    const key = `${event.taskId} ${event.generation}`;
    const payload = withoutFinal(event.payload);
    const known = this.#payloads.get(key);
    if (known !== undefined && known !== payload) {
      this.violate("P3", `${name} differs from what another reader saw: ${payload} and ${known}`);
    }
    this.#payloads.set(key, payload);
    this.#look(async () => {
      const { rows } = await this.#pool.query<{ payload: string }>(
        "select payload from task_event where agent = $1 and task_id = $2 and generation = $3",
        [this.#agentKey, event.taskId, event.generation],
      );
      const recorded = rows[0]?.payload;
      if (recorded === undefined) this.violate("P2", `${name} was shown before it was in the record`);
      else if (withoutFinal(recorded) !== payload)
        this.violate("P2", `${name} is not what is recorded: ${payload} and ${recorded}`);
    });
  }

  shownTask(shown: ShownTask): void {
    this.#tasks.push(shown);
    if (shown.generation !== null) {
      this.#heads.set(shown.taskId, Math.max(shown.generation, this.headOf(shown.taskId)));
    }
  }

  /** Where a task stands in the record; null when it is not there. */
  async head(taskId: string): Promise<TaskHead | null> {
    return (await this.#readHeads([taskId]))[0] ?? null;
  }

  /** Every task of the agent, as the record has them at rest: I1, I3, P6, and what was shown of them. */
  async verifyRecord(): Promise<{ tasks: number; events: number }> {
    await Promise.all(this.#looking);
    const heads = await this.#readHeads(null);
    const { rows } = await this.#pool.query<RecordedEvent & { taskId: string }>(
      `select task_id as "taskId", generation, epoch, kind, payload, hidden from task_event
       where agent = $1 order by task_id, generation`,
      [this.#agentKey],
    );
    const histories = Map.groupBy(rows, (row) => row.taskId);
    const shown = Map.groupBy(this.#tasks, (task) => task.taskId);
    for (const head of heads) {
      const events = histories.get(head.id) ?? [];
      histories.delete(head.id);
      this.#verifyTask(head, events, shown.get(head.id) ?? []);
      shown.delete(head.id);
    }
    for (const taskId of histories.keys()) this.violate("I1", `task ${taskId} has events and no head`);
    for (const taskId of shown.keys()) this.violate("P2", `task ${taskId} was shown and is not in the record`);
    return { tasks: heads.length, events: rows.length };
  }

  #verifyTask(head: TaskHead, events: readonly RecordedEvent[], shown: readonly ShownTask[]): void {
    const name = `task ${head.id}`;
    const generations = events.map((event) => event.generation);
    if (generations.some((generation, index) => generation !== index + 1) || generations.length !== head.generation) {
      this.violate("I1", `${name} at generation ${head.generation} has the events ${generations.join(" ")}`);
      return;
    }
    const epochs = events.map((event) => event.epoch);
    if (epochs.some((epoch, index) => epoch < (epochs[index - 1] ?? 0) || epoch > head.epoch)) {
      this.violate("I2", `${name} at epoch ${head.epoch} has events of the epochs ${epochs.join(" ")}`);
    }
    const ends = endsTerminal(this.#dialect, events).filter((generation) => generation < head.generation);
    if (ends.length > 0) this.violate("P6", `${name} went on to ${head.generation} after its end at ${ends.join(" ")}`);
    const folds = foldAll(this.#dialect, { taskId: head.id, contextId: head.contextId }, events);
    const told = stateIn(folds.at(-1) ?? "{}");
    if (told !== head.state || isTerminalState(told) !== head.finished)
      this.violate(
        "I3",
        `${name} is ${head.finished ? "finished as" : "open as"} ${head.state}, its events say ${told}`,
      );
    if (head.snapshot !== null && head.snapshotGeneration !== null) {
      const fold = folds[head.snapshotGeneration - 1];
      const snapshot = canonicalTask(JSON.parse(head.snapshot));
      if (snapshot !== fold)
        this.violate("I3", `${name}: snapshot at ${head.snapshotGeneration} is ${snapshot}, the fold ${fold}`);
    }
    const asItCame = events
      .filter((event) => event.kind === "task")
      .map((event) => canonicalTask(this.#bareTask(event.payload)));
    for (const one of shown) this.#verifyShownTask(one, folds, asItCame);
  }

  #bareTask(payload: string): unknown {
    const parsed = JSON.parse(payload) as { task?: unknown };
    return this.#dialect === "0.3" ? parsed : parsed.task;
  }

  /** A Task is shown as some generation's fold, and never as an older one than somebody has been shown already. */
  #verifyShownTask(shown: ShownTask, folds: readonly string[], asItCame: readonly string[]): void {
    const text = canonicalTask(JSON.parse(shown.task));
    const matches = folds.flatMap((fold, index) => (fold === text ? [index + 1] : []));
    const name = `${shown.reader}, task ${shown.taskId}`;
    if (matches.length === 0) {
      // A new message's own reply is passed on as the agent gave it.
      if (shown.generation !== null || !asItCame.includes(text))
        this.violate("I3", `${name}: no fold of ${folds.length} gives ${text}`);
    } else if (shown.generation !== null && !matches.includes(shown.generation)) {
      this.violate("I3", `${name}: shown as generation ${shown.generation}, is the fold at ${matches.join(" ")}`);
    } else if ((matches.at(-1) ?? 0) < shown.notBefore) {
      this.violate(
        "P1",
        `${name}: older (${matches.join(" ")}) than what was shown before the call (${shown.notBefore})`,
      );
    }
  }

  async #readHeads(ids: string[] | null): Promise<TaskHead[]> {
    const { rows } = await this.#pool.query<TaskHead>(
      `select id, context_id as "contextId", generation, epoch, state,
              finished_at is not null as finished, snapshot,
              snapshot_generation as "snapshotGeneration",
              (select count(*)::int from turn where turn.agent = task.agent and turn.task_id = task.id
                 and turn.state not in ('done', 'failed')) as "turnsInFlight"
       from task where agent = $1 and ($2::text[] is null or id = any($2))`,
      [this.#agentKey, ids],
    );
    return rows;
  }

  #look(work: () => Promise<void>): void {
    const looking: Promise<void> = (this.#patient ? untilAnswered(work) : work())
      .catch((error: unknown) => this.violate("the checker", String(error)))
      .finally(() => this.#looking.delete(looking));
    this.#looking.add(looking);
  }
}

function stateIn(task: string): string | null {
  const { status } = JSON.parse(task) as { status?: { state: string } };
  return status === undefined ? null : plainState(status.state);
}

async function untilAnswered(work: () => Promise<void>): Promise<void> {
  const end = performance.now() + OUTAGE_PATIENCE_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(100);
    }
  }
}

/** Longer than any outage that a test makes. */
const OUTAGE_PATIENCE_MS = 120_000;

/**
 * Makes every commit of events take so much longer, while nobody else can see the rows: what is shown before it is
 * committed is then found out (P2).
 */
export async function slowDownCommits(pool: pg.Pool, milliseconds: number): Promise<void> {
  await pool.query(`
    create function wait_before_commit() returns trigger language plpgsql as $$
    begin
      if current_setting('checker.waited', true) is distinct from txid_current()::text then
        perform set_config('checker.waited', txid_current()::text, true);
        perform pg_sleep(${milliseconds / 1000});
      end if;
      return null;
    end $$;
    create constraint trigger wait_before_commit after insert on task_event
      deferrable initially deferred for each row execute function wait_before_commit();
  `);
}
