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
  NewInstance,
  NewTurn,
  PushConfigRow,
  TaskCreation,
  TaskPosition,
  TaskRow,
  TaskStore,
  TaskView,
  TaskWrite,
  TurnEnd,
  TurnHolder,
  TurnRow,
} from "../../ports/task-store.ts";
import { isTerminal, type TaskState } from "../../domain/task-state.ts";
import { MemoryRecord } from "./record.ts";
import { MemoryRecovery } from "./recovery.ts";
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

type HeldWrite = Pick<
  TaskWrite,
  "events" | "end" | "firstOf" | "cancelAnswered" | "snapshot" | "attempt" | "agentIds"
> & {
  head: TaskWrite["head"] | null;
};

/** See the head of this file. */
export class MemoryTaskStore extends MemoryRecovery implements TaskStore {
  constructor(options: { clock: Clock; idempotencyWindowSeconds: number }) {
    super(new MemoryRecord(options));
  }

  async journal(turn: NewTurn): Promise<JournalOutcome> {
    const own = this.record.turns.get(turn.id);
    if (own !== undefined) return { kind: "inserted", turn: this.record.turnRow(own) };
    const task = turn.taskId === null ? null : this.record.tasks.get(turn.taskId);
    if (task === undefined || (task && (task.tenant !== turn.tenant || task.caller !== turn.caller))) {
      return { kind: "no-task" };
    }
    const same = this.record.sameSend(turn);
    if (same !== undefined) return { kind: "joined", turn: this.record.turnRow(same) };
    if (task && turn.purpose === "send" && isFinished(task)) return { kind: "terminal", state: task.state };
    const row = turnOf(turn, this.#firstState(turn, task));
    if (task) {
      row.contextId ??= task.contextId;
      row.instance = this.#firstInstance(turn, task);
    }
    this.record.turns.set(row.id, row);
    return { kind: "inserted", turn: this.record.turnRow(row) };
  }

  async restoreTurns(turns: NewTurn[]): Promise<string[]> {
    return turns.filter((turn) => this.record.restore(turn, 1)).map(({ id }) => id);
  }

  async readTurn(turnId: string): Promise<TurnRow | null> {
    const turn = this.record.turns.get(turnId);
    return turn === undefined ? null : this.record.turnRow(turn);
  }

  async readTurns(turnIds: string[]): Promise<TurnRow[]> {
    return turnIds.flatMap((id) => this.record.turns.get(id) ?? []).map((turn) => this.record.turnRow(turn));
  }

  async readHolders(turnIds: string[]): Promise<TurnHolder[]> {
    return (await this.readTurns(turnIds)).map(({ id, state, instance, epoch, taskId }) => {
      const agentTaskId = this.record.tasks.get(taskId ?? "")?.agentTaskId ?? null;
      return { turnId: id, state, instance, epoch, taskId, agentTaskId };
    });
  }

  async takeTurn(turnId: string, instance: string): Promise<TurnRow | null> {
    const turn = this.record.turns.get(turnId);
    if (turn?.state !== "journaled" || this.record.holderOf(turn) !== instance) return null;
    Object.assign(turn, { state: "dispatched", instance });
    return this.record.turnRow(turn);
  }

  async reassignTurn(turnId: string, from: string, to: string): Promise<boolean> {
    const turn = this.record.turns.get(turnId);
    if (turn?.state !== "journaled" || turn.taskId !== null || turn.instance !== from) return false;
    turn.instance = to;
    turn.epoch += 1;
    return true;
  }

  async endTurn(
    end: TurnEnd & { epoch: number; instance: string; turn?: NewTurn | null },
  ): Promise<{ kind: "ended"; promoted: string | null } | { kind: "deposed" }> {
    this.record.restore(end.turn, end.epoch);
    const turn = this.record.turns.get(end.turnId);
    if (turn === undefined) return { kind: "deposed" };
    if (turn.taskId !== null) {
      const [outcome] = this.#settleTurn(turn.taskId, end.epoch, { end });
      return outcome.kind === "fenced" ? { kind: "deposed" } : { kind: "ended", promoted: outcome.promoted };
    }
    if (turn.instance !== end.instance || turn.epoch !== end.epoch) return { kind: "deposed" };
    if (isSameEnd(turn, end)) return { kind: "ended", promoted: null };
    if (turn.state !== "dispatched") return { kind: "deposed" };
    endMemoryTurn(turn, end, { lastGeneration: 0, ...this.record.ending() });
    return { kind: "ended", promoted: null };
  }

  async releaseQueue(turnId: string, epoch: number): Promise<{ promoted: string | null }> {
    const turn = this.record.turns.get(turnId);
    if (turn === undefined || turn.taskId === null) return { promoted: null };
    const [outcome] = this.#settleTurn(turn.taskId, epoch, { releases: turnId });
    return { promoted: outcome.kind === "fenced" ? null : outcome.promoted };
  }

  async findWork(instance: string): Promise<InstanceWork> {
    const turns = [...this.record.turns.values()].filter(
      (t) => t.state === "journaled" && this.record.holderOf(t) === instance,
    );
    const tasks = [...this.record.tasks.values()].filter(
      (t) => t.owner === instance && t.cancel !== null && !t.cancel.taken,
    );
    return { turnIds: turns.map(({ id }) => id), cancelTaskIds: tasks.map(({ taskId }) => taskId) };
  }

  async lastInstance(caller: string, tenant: string, contextId: string): Promise<string | null> {
    const ofContext = (t: MemoryTurn) => t.caller === caller && t.tenant === tenant && t.contextId === contextId;
    const holders = [...this.record.turns.values()].filter(ofContext).map((turn) => this.record.holderOf(turn));
    return holders.findLast((id) => this.record.instances.isAlive(id)) ?? null;
  }

  async createTask(creation: TaskCreation): Promise<CreateOutcome> {
    this.record.restore(creation.turn, creation.epoch);
    const { task, head, end, snapshot } = creation;
    const turn = this.record.turns.get(creation.turnId);
    const existing = this.record.tasks.get(task.taskId);
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
    this.record.tasks.set(task.taskId, {
      ...head,
      ...task,
      ...lease,
      events,
      generation: events.length,
      cancel: null,
      finishedAtMs: isTerminal(head.state) ? this.record.clock.monotonicMs() : null,
      snapshot: snapshot === null ? null : { generation: events.length, task: snapshot.task },
    });
    Object.assign(turn, { state: "bound", taskId: task.taskId, contextId: task.contextId, firstGeneration: 1 });
    if (end !== null) endMemoryTurn(turn, end, { lastGeneration: events.length, ...this.record.ending() });
    return { kind: "created", epoch, promoted: null };
  }

  async append(writes: TaskWrite[]): Promise<AppendOutcome[]> {
    refuseTwins(writes);
    for (const write of writes) refusePoison(write.events);
    return writes.map((write) => {
      const task = this.record.tasks.get(write.taskId);
      const held = task?.epoch === write.epoch && task.generation === write.expected;
      if (!held || (isFinished(task) && write.events.length > 0)) return { kind: "fenced" };
      return this.#apply(task, write);
    });
  }

  async settle(writes: TaskWrite[]): Promise<("committed" | "unsent" | "fenced")[]> {
    return writes.map((write) =>
      settledAs(write, {
        task: this.record.tasks.get(write.taskId),
        turn: this.record.turns.get(write.end?.turnId ?? ""),
      }),
    );
  }

  async readTask(taskId: string): Promise<TaskRow | null> {
    const task = this.record.tasks.get(taskId);
    return task === undefined ? null : this.record.taskRow(task);
  }

  async readView(taskId: string): Promise<TaskView | null> {
    const task = this.record.tasks.get(taskId);
    return task ? this.record.view(task) : null;
  }

  async readEvents(taskId: string, after: number, limit: number, maxBytes: number): Promise<EventRow[]> {
    const events = this.record.tasks.get(taskId)?.events.slice(after, after + limit) ?? [];
    let bytes = 0;
    const end = events.findIndex((event, index) => {
      bytes += Buffer.byteLength(event.payload) + Buffer.byteLength(event.hidden ?? "");
      return index > 0 && bytes > maxBytes;
    });
    return (end === -1 ? events : events.slice(0, end)).map((event) => ({ ...event }));
  }

  async readPositions(taskIds: string[]): Promise<TaskPosition[]> {
    return taskIds.flatMap((taskId) => {
      const task = this.record.tasks.get(taskId);
      return task === undefined ? [] : [{ taskId, generation: task.generation, state: task.state }];
    });
  }

  async listTasks(query: ListQuery): Promise<ListPage> {
    const matching = [...this.record.tasks.values()].filter((task) => matches(task, query)).sort(byStatus);
    const { after, pageSize } = query;
    const rest = after === null ? matching : matching.filter((task) => isBehind(task, after));
    const page = rest.slice(0, pageSize).map((task) => this.record.view(task));
    return { views: page, totalSize: matching.length, more: rest.length > pageSize };
  }

  async countTasks(): Promise<{ state: TaskState; count: number }[]> {
    const counts = new Map<TaskState, number>();
    for (const { state } of this.record.tasks.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
    return [...counts].map(([state, count]) => ({ state, count }));
  }

  async requestCancel(taskId: string, headers: Uint8Array | null): Promise<CancelRequest> {
    const task = this.record.tasks.get(taskId);
    if (task === undefined) return { kind: "no-task" };
    if (isFinished(task)) return { kind: "terminal", task: this.record.taskRow(task) };
    if (task.cancel === null || task.cancel.error !== null) task.cancel = { headers, taken: false, error: null };
    return { kind: "marked", task: this.record.taskRow(task) };
  }

  async takeCancel(taskId: string, owner: string): Promise<TaskRow | null> {
    const task = this.record.tasks.get(taskId);
    if (task === undefined || task.owner !== owner || task.cancel === null || task.cancel.taken) return null;
    task.cancel = { ...task.cancel, taken: true };
    return this.record.taskRow(task);
  }

  async refuseCancel(taskId: string, epoch: number, error: string): Promise<boolean> {
    const task = this.record.tasks.get(taskId);
    if (task === undefined || task.epoch !== epoch || task.cancel === null) return false;
    task.cancel = { headers: null, taken: true, error };
    return true;
  }

  async deposeAndCancel(write: TaskWrite & { self: string }): Promise<{ epoch: number; ended: string[] } | null> {
    const task = this.record.tasks.get(write.taskId);
    const untaken = task?.cancel !== null && task?.cancel.taken === false;
    if (task?.epoch !== write.epoch || task.generation !== write.expected || isFinished(task) || !untaken) return null;
    refusePoison(write.events);
    task.epoch += 1;
    task.owner = write.self;
    const live = this.record.liveTurnsOf(task.taskId);
    this.#apply(task, { ...write, end: null, firstOf: null });
    // What is aside as well: its agent is not heard any more.
    for (const turn of live.filter(isLive)) {
      const state = turn.state === "bound" ? "done" : "failed";
      endMemoryTurn(turn, { state, reply: null }, { lastGeneration: task.generation, ...this.record.ending() });
    }
    return { epoch: task.epoch, ended: live.map(({ id }) => id) };
  }

  async savePushConfig(config: PushConfigRow): Promise<void> {
    this.record.pushConfigs.set(JSON.stringify([config.taskId, config.configId]), { ...config });
  }

  async deletePushConfig(taskId: string, configId: string): Promise<void> {
    this.record.pushConfigs.delete(JSON.stringify([taskId, configId]));
  }

  async listPushConfigs(taskId: string): Promise<PushConfigRow[]> {
    return [...this.record.pushConfigs.values()]
      .filter((config) => config.taskId === taskId)
      .map((config) => ({ ...config }));
  }

  async registerInstance(instance: NewInstance, leaseMs: number): Promise<void> {
    this.record.instances.register(instance, leaseMs);
  }

  async renewInstance(id: string, leaseMs: number, draining: boolean): Promise<boolean> {
    return this.record.instances.renew(id, leaseMs, draining);
  }

  async removeInstance(id: string): Promise<void> {
    this.record.instances.remove(id);
  }

  async listInstances(): Promise<InstanceRow[]> {
    return this.record.instances.list();
  }

  async close(): Promise<void> {}

  #firstState(turn: NewTurn, task: MemoryTask | null): TurnRow["state"] {
    if (task === null) return turn.instance === turn.self ? "dispatched" : "journaled";
    if (!turn.aside && this.record.liveTurnsOf(task.taskId).some((t) => t.state === "queued" || holdsQueue(t)))
      return "queued";
    return task.owner === turn.self && this.record.instances.isAlive(task.owner) ? "dispatched" : "journaled";
  }

  /** A message to a task whose owner is gone is nobody's: whoever claims the task takes it with it. */
  #firstInstance(turn: NewTurn, task: MemoryTask): string {
    if (this.record.instances.isAlive(task.owner)) return task.owner;
    return turn.purpose === "call" ? turn.self : "";
  }

  #settleTurn(taskId: string, epoch: number, { end = null, releases }: { end?: TurnEnd | null; releases?: string }) {
    const task = this.record.tasks.get(taskId);
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
    if (write.agentIds) Object.assign(task, { ...write.agentIds, attempt: write.attempt });
    if (isFinished(task)) task.finishedAtMs ??= this.record.clock.monotonicMs();
    if (write.snapshot !== null) task.snapshot = { generation: task.generation, task: write.snapshot.task };
    if (write.cancelAnswered || isFinished(task)) task.cancel = null;
    const first = this.record.turns.get(write.firstOf ?? "");
    if (first?.taskId === taskId && isLive(first))
      Object.assign(first, { state: "bound", firstGeneration: generation + 1 });
    const settled = this.record.turns.get(write.end?.turnId ?? releases ?? "");
    if (settled?.taskId !== taskId || !isLive(settled))
      return { kind: "committed", promoted: null, ...this.#endOthers(task) };
    if (write.end === null) settled.released = true;
    else endMemoryTurn(settled, write.end, { lastGeneration: task.generation, ...this.record.ending() });
    return { kind: "committed", ...this.#endOthers(task), promoted: this.record.promote(task) };
  }

  /** Ends the other turns of a task that is finished: nothing can be written for them any more. */
  #endOthers(task: MemoryTask): { failed: string[]; closed: string[] } {
    if (!isFinished(task)) return { failed: [], closed: [] };
    const sends = this.record.liveTurnsOf(task.taskId).filter(({ purpose }) => purpose === "send");
    const released = sends.filter((turn) => turn.released);
    // A message that was forwarded aside has a reply of its own to come.
    const ended = sends.filter((turn) => !turn.released && !(turn.aside && turn.state === "dispatched"));
    const [closed, failed] = partition(ended, (turn) => turn.state === "bound");
    const at = { lastGeneration: task.generation, ...this.record.ending() };
    for (const turn of [...released, ...closed]) endMemoryTurn(turn, { state: "done", reply: null }, at);
    for (const turn of failed) endMemoryTurn(turn, { state: "failed", reply: null }, at);
    return { failed: failed.map(({ id }) => id), closed: closed.map(({ id }) => id) };
  }
}

function partition<T>(all: readonly T[], isFirst: (one: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}
