/**
 * The record in the memory of one process, for tests and for reading what the port means without SQL. Each method runs
 * in one turn of the event loop, so it is atomic by itself.
 */
import type { Clock } from "../../ports/clock.ts";
import type {
  AppendOutcome,
  CancelRequest,
  CreateOutcome,
  EventRow,
  InstanceRow,
  InstanceWork,
  JournalOutcome,
  ListPage,
  ListQuery,
  NewTurn,
  PushConfigRow,
  TaskCreation,
  TaskPosition,
  TaskRow,
  TaskStore,
  TaskView,
  TaskWrite,
  TurnEnd,
  TurnRow,
} from "../../ports/task-store.ts";
import type { TaskState } from "../../domain/task-state.ts";
import { MemoryInstances } from "./instances.ts";
import {
  endMemoryTurn,
  holdsQueue,
  isFinished,
  isLive,
  isSameEnd,
  type MemoryTask,
  type MemoryTurn,
  numbered,
  refusePoison,
  refuseTwins,
  settledAs,
  turnOf,
} from "./task-store-rows.ts";
import { byStatus, isBehind, matches } from "./task-list.ts";

type HeldWrite = Pick<TaskWrite, "events" | "end" | "firstOf" | "cancelAnswered" | "snapshot" | "attempt"> & {
  head: TaskWrite["head"] | null;
};

/** See the head of this file. */
export class MemoryTaskStore implements TaskStore {
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #tasks = new Map<string, MemoryTask>();
  /** In order of insertion, which is the order of the queue. */
  readonly #turns = new Map<string, MemoryTurn>();
  readonly #instances: MemoryInstances;
  readonly #pushConfigs = new Map<string, PushConfigRow>();

  constructor(options: { clock: Clock; idempotencyWindowSeconds: number }) {
    this.#clock = options.clock;
    this.#instances = new MemoryInstances(options.clock);
    this.#windowMs = options.idempotencyWindowSeconds * 1000;
  }

  async journal(turn: NewTurn): Promise<JournalOutcome> {
    const own = this.#turns.get(turn.id);
    if (own !== undefined) return { kind: "inserted", turn: this.#turnRow(own) };
    const task = turn.taskId === null ? null : this.#tasks.get(turn.taskId);
    if (task === undefined || (task && (task.tenant !== turn.tenant || task.caller !== turn.caller))) {
      return { kind: "no-task" };
    }
    const same = this.#sameSend(turn);
    if (same !== undefined) return { kind: "joined", turn: this.#turnRow(same) };
    if (task && turn.purpose === "send" && isFinished(task)) return { kind: "terminal", state: task.state };
    const row = turnOf(turn, this.#firstState(turn, task));
    if (task) row.contextId ??= task.contextId;
    this.#turns.set(row.id, row);
    return { kind: "inserted", turn: this.#turnRow(row) };
  }

  async readTurn(turnId: string): Promise<TurnRow | null> {
    const turn = this.#turns.get(turnId);
    return turn === undefined ? null : this.#turnRow(turn);
  }

  async readTurns(turnIds: string[]): Promise<TurnRow[]> {
    return turnIds.flatMap((id) => this.#turns.get(id) ?? []).map((turn) => this.#turnRow(turn));
  }

  async takeTurn(turnId: string, instance: string): Promise<TurnRow | null> {
    const turn = this.#turns.get(turnId);
    if (turn?.state !== "journaled" || this.#holderOf(turn) !== instance) return null;
    turn.state = "dispatched";
    return this.#turnRow(turn);
  }

  async reassignTurn(turnId: string, from: string, to: string): Promise<boolean> {
    const turn = this.#turns.get(turnId);
    if (turn?.state !== "journaled" || turn.taskId !== null || turn.instance !== from) return false;
    turn.instance = to;
    turn.epoch += 1;
    return true;
  }

  async endTurn(
    end: TurnEnd & { epoch: number; instance: string; turn?: NewTurn },
  ): Promise<{ kind: "ended"; promoted: string | null } | { kind: "deposed" }> {
    this.#restore(end.turn, end.epoch);
    const turn = this.#turns.get(end.turnId);
    if (turn === undefined) return { kind: "deposed" };
    if (turn.taskId !== null) {
      const [outcome] = this.#settleTurn(turn.taskId, end.epoch, { end });
      return outcome.kind === "fenced" ? { kind: "deposed" } : { kind: "ended", promoted: outcome.promoted };
    }
    if (turn.instance !== end.instance || turn.epoch !== end.epoch) return { kind: "deposed" };
    if (isSameEnd(turn, end)) return { kind: "ended", promoted: null };
    if (turn.state !== "dispatched") return { kind: "deposed" };
    endMemoryTurn(turn, end, { lastGeneration: 0, expiresAtMs: this.#windowEndMs() });
    return { kind: "ended", promoted: null };
  }

  async releaseQueue(turnId: string, epoch: number): Promise<{ promoted: string | null }> {
    const turn = this.#turns.get(turnId);
    if (turn === undefined || turn.taskId === null) return { promoted: null };
    const [outcome] = this.#settleTurn(turn.taskId, epoch, { releases: turnId });
    return { promoted: outcome.kind === "fenced" ? null : outcome.promoted };
  }

  async findWork(instance: string): Promise<InstanceWork> {
    const turns = [...this.#turns.values()].filter((t) => t.state === "journaled" && this.#holderOf(t) === instance);
    const tasks = [...this.#tasks.values()].filter((t) => t.owner === instance && t.cancel !== null && !t.cancel.taken);
    return { turnIds: turns.map(({ id }) => id), cancelTaskIds: tasks.map(({ taskId }) => taskId) };
  }

  async lastInstance(caller: string, tenant: string, contextId: string): Promise<string | null> {
    const ofContext = (t: MemoryTurn) => t.caller === caller && t.tenant === tenant && t.contextId === contextId;
    const holders = [...this.#turns.values()].filter(ofContext).map((turn) => this.#holderOf(turn));
    return holders.findLast((id) => this.#instances.isAlive(id)) ?? null;
  }

  async createTask(creation: TaskCreation): Promise<CreateOutcome> {
    this.#restore(creation.turn, creation.epoch);
    const { task, head, end, snapshot } = creation;
    const turn = this.#turns.get(creation.turnId);
    const existing = this.#tasks.get(task.taskId);
    const mine = existing !== undefined && turn?.taskId === task.taskId && existing.epoch === creation.epoch + 1;
    if (mine) return { kind: "created", epoch: existing.epoch, promoted: null };
    if (existing !== undefined) return { kind: "id-taken" };
    if (turn?.state !== "dispatched" || turn.taskId !== null || turn.epoch !== creation.epoch) {
      return { kind: "deposed" };
    }
    refusePoison(creation.events);
    const { tenant, caller, attempt } = turn;
    const epoch = creation.epoch + 1;
    const lease = { tenant, caller, owner: turn.instance, attempt, epoch };
    const events = numbered(creation.events, { after: 0, epoch, attempt });
    this.#tasks.set(task.taskId, {
      ...head,
      ...task,
      ...lease,
      events,
      generation: events.length,
      cancel: null,
      snapshot: snapshot === null ? null : { generation: events.length, task: snapshot.task },
    });
    Object.assign(turn, { state: "bound", taskId: task.taskId, contextId: task.contextId, firstGeneration: 1 });
    if (end !== null) endMemoryTurn(turn, end, { lastGeneration: events.length, expiresAtMs: this.#windowEndMs() });
    return { kind: "created", epoch, promoted: null };
  }

  async append(writes: TaskWrite[]): Promise<AppendOutcome[]> {
    refuseTwins(writes);
    for (const write of writes) refusePoison(write.events);
    return writes.map((write) => {
      const task = this.#tasks.get(write.taskId);
      const held = task?.epoch === write.epoch && task.generation === write.expected;
      if (!held || (isFinished(task) && write.events.length > 0)) return { kind: "fenced" };
      return this.#apply(task, write);
    });
  }

  async settle(writes: TaskWrite[]): Promise<("committed" | "unsent" | "fenced")[]> {
    return writes.map((write) =>
      settledAs(write, { task: this.#tasks.get(write.taskId), turn: this.#turns.get(write.end?.turnId ?? "") }),
    );
  }

  async readTask(taskId: string): Promise<TaskRow | null> {
    const task = this.#tasks.get(taskId);
    return task === undefined ? null : this.#taskRow(task);
  }

  async readView(taskId: string): Promise<TaskView | null> {
    const task = this.#tasks.get(taskId);
    return task ? this.#view(task) : null;
  }

  async readEvents(taskId: string, after: number, limit: number, maxBytes: number): Promise<EventRow[]> {
    const events = this.#tasks.get(taskId)?.events.slice(after, after + limit) ?? [];
    let bytes = 0;
    const end = events.findIndex((event, index) => {
      bytes += Buffer.byteLength(event.payload) + Buffer.byteLength(event.hidden ?? "");
      return index > 0 && bytes > maxBytes;
    });
    return (end === -1 ? events : events.slice(0, end)).map((event) => ({ ...event }));
  }

  async readPositions(taskIds: string[]): Promise<TaskPosition[]> {
    return taskIds.flatMap((taskId) => {
      const task = this.#tasks.get(taskId);
      return task === undefined ? [] : [{ taskId, generation: task.generation, state: task.state }];
    });
  }

  async listTasks(query: ListQuery): Promise<ListPage> {
    const matching = [...this.#tasks.values()].filter((task) => matches(task, query)).sort(byStatus);
    const { after, pageSize } = query;
    const rest = after === null ? matching : matching.filter((task) => isBehind(task, after));
    const page = rest.slice(0, pageSize).map((task) => this.#view(task));
    return { views: page, totalSize: matching.length, more: rest.length > pageSize };
  }

  async countTasks(): Promise<{ state: TaskState; count: number }[]> {
    const counts = new Map<TaskState, number>();
    for (const { state } of this.#tasks.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
    return [...counts].map(([state, count]) => ({ state, count }));
  }

  async requestCancel(taskId: string, headers: Uint8Array | null): Promise<CancelRequest> {
    const task = this.#tasks.get(taskId);
    if (task === undefined) return { kind: "no-task" };
    if (isFinished(task)) return { kind: "terminal", task: this.#taskRow(task) };
    if (task.cancel === null || task.cancel.error !== null) task.cancel = { headers, taken: false, error: null };
    return { kind: "marked", task: this.#taskRow(task) };
  }

  async takeCancel(taskId: string, owner: string): Promise<TaskRow | null> {
    const task = this.#tasks.get(taskId);
    if (task === undefined || task.owner !== owner || task.cancel === null || task.cancel.taken) return null;
    task.cancel = { ...task.cancel, taken: true };
    return this.#taskRow(task);
  }

  async refuseCancel(taskId: string, epoch: number, error: string): Promise<boolean> {
    const task = this.#tasks.get(taskId);
    if (task === undefined || task.epoch !== epoch || task.cancel === null) return false;
    task.cancel = { headers: null, taken: true, error };
    return true;
  }

  async deposeAndCancel(write: TaskWrite & { self: string }): Promise<{ epoch: number; ended: string[] } | null> {
    const task = this.#tasks.get(write.taskId);
    const untaken = task?.cancel !== null && task?.cancel.taken === false;
    if (task?.epoch !== write.epoch || task.generation !== write.expected || isFinished(task) || !untaken) return null;
    refusePoison(write.events);
    task.epoch += 1;
    task.owner = write.self;
    const live = this.#liveTurnsOf(task.taskId);
    this.#apply(task, { ...write, end: null, firstOf: null });
    for (const turn of live) {
      const state = turn.state === "bound" ? "done" : "failed";
      endMemoryTurn(
        turn,
        { state, reply: null },
        { lastGeneration: task.generation, expiresAtMs: this.#windowEndMs() },
      );
    }
    return { epoch: task.epoch, ended: live.map(({ id }) => id) };
  }

  async savePushConfig(config: PushConfigRow): Promise<void> {
    this.#pushConfigs.set(JSON.stringify([config.taskId, config.configId]), { ...config });
  }

  async deletePushConfig(taskId: string, configId: string): Promise<void> {
    this.#pushConfigs.delete(JSON.stringify([taskId, configId]));
  }

  async listPushConfigs(taskId: string): Promise<PushConfigRow[]> {
    return [...this.#pushConfigs.values()]
      .filter((config) => config.taskId === taskId)
      .map((config) => ({ ...config }));
  }

  async registerInstance(instance: { id: string; podName: string; podUid: string }, leaseMs: number): Promise<void> {
    this.#instances.register(instance, leaseMs);
  }

  async renewInstance(id: string, leaseMs: number, draining: boolean): Promise<boolean> {
    return this.#instances.renew(id, leaseMs, draining);
  }

  async removeInstance(id: string): Promise<void> {
    this.#instances.remove(id);
  }

  async listInstances(): Promise<InstanceRow[]> {
    return this.#instances.list();
  }

  async close(): Promise<void> {}

  #sameSend({ tenant, caller, dedupeKey }: NewTurn): MemoryTurn | undefined {
    if (dedupeKey === null) return undefined;
    const nowMs = this.#clock.monotonicMs();
    for (const turn of this.#turns.values()) {
      if (turn.dedupeKey !== dedupeKey || turn.tenant !== tenant || turn.caller !== caller) continue;
      if (turn.expiresAtMs === null || turn.expiresAtMs > nowMs) return turn;
      turn.dedupeKey = null;
    }
    return undefined;
  }

  #firstState(turn: NewTurn, task: MemoryTask | null): TurnRow["state"] {
    if (task === null) return turn.instance === turn.self ? "dispatched" : "journaled";
    if (!turn.aside && this.#liveTurnsOf(task.taskId).some((t) => t.state === "queued" || holdsQueue(t)))
      return "queued";
    return task.owner === turn.self && this.#instances.isAlive(task.owner) ? "dispatched" : "journaled";
  }

  #restore(turn: NewTurn | undefined, epoch: number): void {
    if (turn === undefined || this.#turns.has(turn.id) || this.#sameSend(turn) !== undefined) return;
    this.#turns.set(turn.id, { ...turnOf(turn, "dispatched"), epoch });
  }

  #settleTurn(taskId: string, epoch: number, { end = null, releases }: { end?: TurnEnd | null; releases?: string }) {
    const task = this.#tasks.get(taskId);
    if (task?.epoch !== epoch) return [{ kind: "fenced" } as const];
    const bare = { attempt: 0, events: [], head: null, snapshot: null, firstOf: null, cancelAnswered: false };
    return [this.#apply(task, { ...bare, end }, releases)] as const;
  }

  /** Stores a write whose lease was checked. */
  #apply(task: MemoryTask, write: HeldWrite, releases?: string): AppendOutcome & { kind: "committed" } {
    const { taskId, epoch, generation } = task;
    task.events.push(...numbered(write.events, { after: generation, epoch, attempt: write.attempt }));
    task.generation = task.events.length;
    Object.assign(task, write.head);
    if (write.snapshot !== null) task.snapshot = { generation: task.generation, task: write.snapshot.task };
    if (write.cancelAnswered || isFinished(task)) task.cancel = null;
    const first = this.#turns.get(write.firstOf ?? "");
    if (first?.taskId === taskId && isLive(first))
      Object.assign(first, { state: "bound", firstGeneration: generation + 1 });
    const settled = this.#turns.get(write.end?.turnId ?? releases ?? "");
    if (settled?.taskId !== taskId || !isLive(settled))
      return { kind: "committed", promoted: null, failed: this.#fail(task) };
    const expiresAtMs = this.#windowEndMs();
    if (write.end === null) settled.released = true;
    else endMemoryTurn(settled, write.end, { lastGeneration: task.generation, expiresAtMs });
    return { kind: "committed", failed: this.#fail(task), promoted: this.#promote(task) };
  }

  #fail(task: MemoryTask): string[] {
    if (!isFinished(task)) return [];
    const waiting = this.#liveTurnsOf(task.taskId).filter(
      ({ state, purpose }) => purpose === "send" && (state === "queued" || state === "journaled"),
    );
    for (const turn of waiting) {
      endMemoryTurn(turn, { state: "failed", reply: null }, { lastGeneration: 0, expiresAtMs: this.#windowEndMs() });
    }
    return waiting.map(({ id }) => id);
  }

  #promote(task: MemoryTask): string | null {
    const live = this.#liveTurnsOf(task.taskId);
    const next = live.find((turn) => turn.state === "queued");
    if (next === undefined || live.some(holdsQueue)) return null;
    next.state = "journaled";
    return next.id;
  }

  #liveTurnsOf(taskId: string): MemoryTurn[] {
    return [...this.#turns.values()].filter((turn) => turn.taskId === taskId && isLive(turn));
  }

  #windowEndMs(): number {
    return this.#clock.monotonicMs() + this.#windowMs;
  }

  /** A turn with a task has no owner of its own. */
  #holderOf(turn: MemoryTurn): string {
    return (turn.taskId === null ? undefined : this.#tasks.get(turn.taskId)?.owner) ?? turn.instance;
  }

  #turnRow(turn: MemoryTurn): TurnRow {
    const { dedupeKey: _, released: __, expiresAtMs: ___, ...row } = turn;
    const task = turn.taskId === null ? undefined : this.#tasks.get(turn.taskId);
    const instance = this.#holderOf(turn);
    return { ...row, instance, instanceAlive: this.#instances.isAlive(instance), epoch: task?.epoch ?? turn.epoch };
  }

  #taskRow({ events: _, snapshot: __, ...row }: MemoryTask): TaskRow {
    return { ...row, ownerAlive: this.#instances.isAlive(row.owner) };
  }

  #view(task: MemoryTask): TaskView {
    const tail = task.events.slice(task.snapshot?.generation ?? 0).map((event) => ({ ...event }));
    return { task: this.#taskRow(task), snapshot: task.snapshot, tail };
  }
}
