import { isAtRest } from "../../domain/task-state.ts";
import type {
  ClaimedTask,
  ClaimedTurn,
  ClaimedWork,
  ClaimRequest,
  InstancePulse,
  RecoveryStore,
  ReleasedRun,
} from "../../ports/recovery-store.ts";
import type { NewTurn, TurnRow } from "../../ports/task-store.ts";
import type { MemoryRecord } from "./record.ts";
import { endMemoryTurn, holdsQueue, isFinished, isLive, type MemoryTask, type MemoryTurn } from "./task-store-rows.ts";

/** As in Postgres: an instance, and a turn somebody may wait for, are not forgotten at once. */
const LEAST_INSTANCE_AGE_SECONDS = 3600;
const LEAST_TURN_AGE_SECONDS = 600;

/** Claims, hand-overs and retention in memory. */
export class MemoryRecovery implements RecoveryStore {
  protected readonly record: MemoryRecord;

  constructor(record: MemoryRecord) {
    this.record = record;
  }

  async readPulses(): Promise<InstancePulse[]> {
    return this.record.instances.pulses();
  }

  async claimWork(request: ClaimRequest): Promise<ClaimedWork> {
    const { instances, tasks, turns } = this.record;
    const { self, selfPodUid, from, predecessors, limit } = request;
    const isGone = (holder: string) =>
      holder !== self &&
      (!instances.has(holder) ||
        (from.includes(holder) && instances.isExpired(holder)) ||
        (predecessors.includes(holder) && instances.isOfPod(holder, selfPodUid)));
    const freeTurns = [...turns.values()].filter((turn) => isUnbound(turn) && isGone(turn.instance)).slice(0, limit);
    const isInherited = (task: MemoryTask) =>
      !isFinished(task) && predecessors.includes(task.owner) && instances.isOfPod(task.owner, selfPodUid);
    const free = [...tasks.values()]
      .filter((task) => isGone(task.owner) && (this.#needsSomebody(task) || isInherited(task)))
      .slice(0, limit);
    return {
      turns: freeTurns.map((turn) => this.#takeUnbound(turn, request)),
      tasks: free.map((task) => this.#takeTask(task, request)),
    };
  }

  async claimTask(taskId: string, claimer: { self: string; selfPodUid: string }): Promise<ClaimedTask | null> {
    const { instances, tasks } = this.record;
    const task = tasks.get(taskId);
    if (task === undefined || isFinished(task) || task.owner === claimer.self) return null;
    const isPredecessor = instances.isOfPod(task.owner, claimer.selfPodUid) && instances.hasSuccessor(task.owner);
    return instances.isExpired(task.owner) || isPredecessor ? this.#takeTask(task, claimer) : null;
  }

  async beginAttempt(
    turnId: string,
    owner: { instance: string; epoch: number; turn?: NewTurn | null },
    lost: number,
  ): Promise<TurnRow | null> {
    this.record.restore(owner.turn, owner.epoch);
    const turn = this.record.turns.get(turnId);
    if (turn === undefined || !this.#isHeld(turn, owner) || !mayHaveRun(turn)) return null;
    if (turn.attempt !== lost && turn.attempt !== lost + 1) return null;
    turn.attempt = lost + 1;
    const task = this.record.tasks.get(turn.taskId ?? "");
    if (task) Object.assign(task, { attempt: turn.attempt, agentTaskId: "" });
    return this.record.turnRow(turn);
  }

  async releaseWork(instance: string): Promise<{ taskIds: string[]; turnIds: string[] }> {
    const { tasks, turns } = this.record;
    const orphans = [...turns.values()].filter((turn) => this.#isUnclaimed(turn) && turn.instance === instance);
    const unbound = [...turns.values()].filter((turn) => isUnbound(turn) && turn.instance === instance);
    const left = [...tasks.values()].filter((task) => task.owner === instance && this.#needsSomebody(task));
    for (const turn of orphans) this.#failOrphan(turn);
    const bound = left.flatMap((task) => this.#releaseTask(task));
    for (const turn of unbound) this.#releaseUnbound(turn);
    return {
      taskIds: left.map(({ taskId }) => taskId),
      turnIds: [...orphans, ...bound, ...unbound].map(({ id }) => id),
    };
  }

  async releaseTurn(turnId: string, owner: { instance: string; epoch: number }, run: ReleasedRun): Promise<boolean> {
    const turn = this.record.turns.get(turnId);
    if (turn === undefined || turn.state === "queued" || !this.#isHeld(turn, owner)) return false;
    const task = this.record.tasks.get(turn.taskId ?? "");
    if (task) this.#releaseTask(task, run === "handed-over");
    else this.#releaseUnbound(turn, run === "handed-over");
    if (run === "none" && !task) turn.state = "journaled";
    return true;
  }

  async setDraining(instance: string, draining: boolean): Promise<void> {
    this.record.instances.setDraining(instance, draining);
  }

  async youngestInstance(self: string): Promise<string | null> {
    return this.record.instances.youngest(self);
  }

  async failOrphans(from: string[]): Promise<string[]> {
    const { instances, turns } = this.record;
    const isGone = (id: string) => from.includes(id) && (instances.isExpired(id) || instances.hasSuccessor(id));
    const orphans = [...turns.values()].filter((turn) => this.#isUnclaimed(turn) && isGone(turn.instance));
    for (const turn of orphans) this.#failOrphan(turn);
    return orphans.map(({ id }) => id);
  }

  async forgetInstances(ids: string[]): Promise<void> {
    const { instances, tasks, turns } = this.record;
    for (const id of ids) {
      const unfinished = [...tasks.values()].some((task) => task.owner === id && !isFinished(task));
      const live = [...turns.values()].some((turn) => turn.instance === id && isLive(turn));
      if (!unfinished && !live) instances.remove(id);
    }
  }

  async sweep(retentionSeconds: number, limit: number): Promise<{ tasks: number; turns: number; instances: number }> {
    const { tasks, turns, instances, pushConfigs } = this.record;
    const nowMs = this.record.clock.monotonicMs();
    const isPast = (ms: number | null, seconds: number) => ms !== null && ms <= nowMs - seconds * 1000;
    const oldTasks = [...tasks.values()].filter((task) => isPast(task.finishedAtMs, retentionSeconds)).slice(0, limit);
    for (const { taskId } of oldTasks) {
      tasks.delete(taskId);
      for (const turn of turns.values()) if (turn.taskId === taskId) turns.delete(turn.id);
      for (const [key, config] of pushConfigs) if (config.taskId === taskId) pushConfigs.delete(key);
    }
    const turnAge = Math.min(retentionSeconds, LEAST_TURN_AGE_SECONDS);
    const oldTurns = [...turns.values()].filter((t) => isPast(t.expiresAtMs, 0) && isPast(t.endedAtMs, turnAge));
    for (const { id } of oldTurns.slice(0, limit)) turns.delete(id);
    const sinceMs = Math.min(retentionSeconds, LEAST_INSTANCE_AGE_SECONDS) * 1000;
    const gone = instances.list().filter(({ id }) => instances.isExpired(id, sinceMs) && !this.#holdsWork(id));
    for (const { id } of gone.slice(0, limit)) instances.remove(id);
    return {
      tasks: oldTasks.length,
      turns: Math.min(oldTurns.length, limit),
      instances: Math.min(gone.length, limit),
    };
  }

  /** A turn that has not ended, or an agent at work. */
  #needsSomebody(task: MemoryTask): boolean {
    if (isFinished(task)) return false;
    return !isAtRest(task.state) || this.#liveSends(task).length > 0;
  }

  #holdsWork(instance: string): boolean {
    const { tasks, turns } = this.record;
    const working = [...tasks.values()].some((task) => task.owner === instance && !isAtRest(task.state));
    return working || [...turns.values()].some((turn) => isLive(turn) && turn.instance === instance);
  }

  #liveSends(task: MemoryTask): MemoryTurn[] {
    return this.record.liveTurnsOf(task.taskId).filter(({ purpose }) => purpose === "send");
  }

  #isHeld(turn: MemoryTurn, { instance, epoch }: { instance: string; epoch: number }): boolean {
    if (turn.purpose !== "send" || !isLive(turn)) return false;
    if (turn.taskId === null) return turn.instance === instance && turn.epoch === epoch;
    const task = this.record.tasks.get(turn.taskId);
    return task !== undefined && !isFinished(task) && task.owner === instance && task.epoch === epoch;
  }

  #takeUnbound(turn: MemoryTurn, { self, selfPodUid }: { self: string; selfPodUid: string }): ClaimedTurn {
    const samePod = this.record.instances.isOfPod(turn.instance, selfPodUid);
    const before = turn.state as ClaimedTurn["before"];
    turn.attempt += Number(mayHaveRun(turn));
    Object.assign(turn, { state: "dispatched", instance: self, epoch: turn.epoch + 1 });
    return { turn: this.record.turnRow(turn), before, samePod };
  }

  #takeTask(task: MemoryTask, { self, selfPodUid }: { self: string; selfPodUid: string }): ClaimedTask {
    const samePod = this.record.instances.isOfPod(task.owner, selfPodUid);
    task.owner = self;
    task.epoch += 1;
    if (!samePod) task.agentTaskId = "";
    clearTakenCancel(task);
    const sends = this.#liveSends(task);
    const main = this.#mainOf(task, sends);
    const before = main?.state as ClaimedTurn["before"];
    for (const turn of sends) {
      turn.instance = self;
      if (turn !== main && (turn.state === "bound" || turn.released)) this.#supersede(task, turn);
      else requeue(turn, turn === main);
    }
    if (main === undefined) this.record.promote(task);
    else task.attempt = main.attempt;
    const turn = main === undefined ? null : { turn: this.record.turnRow(main), before, samePod };
    return { task: this.record.taskRow(task), turn, samePod };
  }

  /** The turn in flight: one aside only where it is alone, one that gave up the queue only where none came after it. */
  #mainOf(task: MemoryTask, sends: MemoryTurn[]): MemoryTurn | undefined {
    const inFlight = sends.filter(({ state }) => state !== "queued");
    const ofTask = [...this.record.turns.values()].filter((turn) => turn.taskId === task.taskId);
    const last = ofTask.findLast((turn) => turn.purpose === "send" && !turn.aside);
    return (
      inFlight.find(holdsQueue) ??
      inFlight.find((turn) => turn.released && turn === last) ??
      inFlight.find((turn) => turn.aside && !turn.released)
    );
  }

  #supersede(task: MemoryTask, turn: MemoryTurn): void {
    const at = { lastGeneration: task.generation, ...this.record.ending() };
    endMemoryTurn(turn, { state: "done", reply: null }, at);
  }

  #releaseTask(task: MemoryTask, handsOver = true): MemoryTurn[] {
    const sends = this.#liveSends(task);
    for (const turn of sends) {
      turn.handovers += Number(handsOver && mayHaveRun(turn));
      turn.instance = "";
    }
    task.owner = "";
    task.epoch += 1;
    clearTakenCancel(task);
    return sends;
  }

  #releaseUnbound(turn: MemoryTurn, handsOver = true): void {
    turn.handovers += Number(handsOver && mayHaveRun(turn));
    turn.instance = "";
    turn.epoch += 1;
  }

  /** Live, and nobody would take it over: a call, or a message whose task is finished. */
  #isUnclaimed(turn: MemoryTurn): boolean {
    const task = this.record.tasks.get(turn.taskId ?? "");
    return isLive(turn) && (turn.purpose === "call" || (task !== undefined && isFinished(task)));
  }

  #failOrphan(turn: MemoryTurn): void {
    endMemoryTurn(turn, { state: "failed", reply: null }, { lastGeneration: 0, ...this.record.ending() });
  }
}

/** What waits goes on waiting, in its place, also what was forwarded aside; the turn in flight holds the queue. */
function requeue(turn: MemoryTurn, inFlight: boolean): void {
  turn.attempt += Number(mayHaveRun(turn));
  turn.aside = false;
  turn.released = false;
  if (!inFlight) turn.state = "queued";
  else if (turn.state === "journaled") turn.state = "dispatched";
}

/** A mark that was only taken can be taken again; an answer stays. */
function clearTakenCancel(task: MemoryTask): void {
  if (task.cancel !== null && task.cancel.error === null) task.cancel = { ...task.cancel, taken: false };
}

function isUnbound(turn: MemoryTurn): boolean {
  return turn.taskId === null && (turn.state === "journaled" || turn.state === "dispatched");
}

function mayHaveRun(turn: MemoryTurn): boolean {
  return turn.state === "dispatched" || turn.state === "bound";
}
