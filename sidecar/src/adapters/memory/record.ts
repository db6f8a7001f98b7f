import type { Clock } from "../../ports/clock.ts";
import type { NewTurn, PushConfigRow, TaskRow, TaskView, TurnRow } from "../../ports/task-store.ts";
import { MemoryInstances } from "./instances.ts";
import { holdsQueue, isLive, type MemoryTask, type MemoryTurn, turnOf } from "./task-store-rows.ts";

/** The rows of the record in memory, and what several methods of the store ask of them. */
export class MemoryRecord {
  readonly clock: Clock;
  readonly tasks = new Map<string, MemoryTask>();
  /** In order of insertion, which is the order of the queue. */
  readonly turns = new Map<string, MemoryTurn>();
  readonly instances: MemoryInstances;
  readonly pushConfigs = new Map<string, PushConfigRow>();
  readonly #windowMs: number;

  constructor(options: { clock: Clock; idempotencyWindowSeconds: number }) {
    this.clock = options.clock;
    this.instances = new MemoryInstances(options.clock);
    this.#windowMs = options.idempotencyWindowSeconds * 1000;
  }

  /** Now, and the end of the window of a turn that ends now. */
  ending(): { nowMs: number; expiresAtMs: number } {
    const nowMs = this.clock.monotonicMs();
    return { nowMs, expiresAtMs: nowMs + this.#windowMs };
  }

  liveTurnsOf(taskId: string): MemoryTurn[] {
    return [...this.turns.values()].filter((turn) => turn.taskId === taskId && isLive(turn));
  }

  /** The turn that holds the dedupe key of a send; one whose window is over gives it up. */
  sameSend({ tenant, caller, dedupeKey }: NewTurn): MemoryTurn | undefined {
    if (dedupeKey === null) return undefined;
    const nowMs = this.clock.monotonicMs();
    for (const turn of this.turns.values()) {
      if (turn.dedupeKey !== dedupeKey || turn.tenant !== tenant || turn.caller !== caller) continue;
      if (turn.expiresAtMs === null || turn.expiresAtMs > nowMs) return turn;
      turn.dedupeKey = null;
    }
    return undefined;
  }

  /** Puts back a turn that is not there, as its instance holds it; false where it is, or its key is taken. */
  restore(turn: NewTurn | null | undefined, epoch: number): boolean {
    if (!turn || this.turns.has(turn.id) || this.sameSend(turn) !== undefined) return false;
    this.turns.set(turn.id, { ...turnOf(turn, "dispatched"), epoch });
    return true;
  }

  /** The first queued turn becomes journaled where nobody holds the queue. */
  promote(task: MemoryTask): string | null {
    const live = this.liveTurnsOf(task.taskId);
    const next = live.find((turn) => turn.state === "queued");
    if (next === undefined || live.some(holdsQueue)) return null;
    next.state = "journaled";
    next.instance = task.owner;
    return next.id;
  }

  /** A turn with a task has no owner of its own. */
  holderOf(turn: MemoryTurn): string {
    return (turn.taskId === null ? undefined : this.tasks.get(turn.taskId)?.owner) ?? turn.instance;
  }

  turnRow(turn: MemoryTurn): TurnRow {
    const { dedupeKey: _, released: __, endedAtMs: ___, expiresAtMs: ____, ...row } = turn;
    const task = turn.taskId === null ? undefined : this.tasks.get(turn.taskId);
    const instance = this.holderOf(turn);
    return { ...row, instance, instanceAlive: this.instances.isAlive(instance), epoch: task?.epoch ?? turn.epoch };
  }

  taskRow({ events: _, snapshot: __, finishedAtMs: ___, ...row }: MemoryTask): TaskRow {
    return { ...row, ownerAlive: this.instances.isAlive(row.owner) };
  }

  view(task: MemoryTask): TaskView {
    const tail = task.events.slice(task.snapshot?.generation ?? 0).map((event) => ({ ...event }));
    return { task: this.taskRow(task), snapshot: task.snapshot, tail };
  }
}
