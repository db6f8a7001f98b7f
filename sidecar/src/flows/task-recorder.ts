/**
 * One task's pen: folds each event, gives it the next generation, appends it under the owner's epoch and, once it is
 * committed, hands it to the feeds. Nothing is shown before it is in the record (P2).
 *
 * Lives from the moment this instance starts to record a task until its last user lets go or the store says that the
 * epoch is not ours any more (`lost`). Appends are pipelined: the fold runs ahead of the commits by at most the commit
 * queue's bound. I2 (epoch and expected generation on every write), I3 (snapshot = fold), P6 (terminal is final).
 */
import { differenceFrom } from "../domain/difference.ts";
import { type Fold, foldEvent, foldHead, snapshotText } from "../domain/fold.ts";
import type { AttemptArtifacts } from "../domain/attempt-artifacts.ts";
import { type IdMap, idMap, identityMap, taskToPublic, toPublic } from "../domain/id-map.ts";
import { joinHidden } from "../domain/hidden-messages.ts";
import { SnapshotPolicy } from "../domain/snapshot-policy.ts";
import { isAtRest, isTerminal, type TaskState } from "../domain/task-state.ts";
import {
  type AppendOutcome,
  type NewEvent,
  StoreError,
  type TaskView,
  type TaskWrite,
  type TurnEnd,
  type TurnReply,
} from "../ports/task-store.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { parseTask, statusPayload } from "../protocol/events.ts";
import { abandonRun } from "./abandon-run.ts";
import type { FlowContext } from "./flow-context.ts";
import { foldOf } from "./fold-view.ts";
import { retryStore } from "./retry-store.ts";
import type { RecordedTurn, RecorderStart, RecordOptions } from "./recorder-start.ts";
import { unsentTurn } from "./turn-board.ts";

export class TaskRecorder {
  readonly tenant: string;
  readonly taskId: string;
  readonly dialect: Dialect;
  readonly epoch: number;
  readonly fold: Fold;
  readonly #context: FlowContext;
  #ids: IdMap;
  #agentTaskId: string;
  #attempt: number;
  #artifacts: AttemptArtifacts | null = null;
  #adopted: { agentTaskId: string; agentContextId: string } | null = null;
  #generation: number;
  #turn: RecordedTurn | null;
  readonly #snapshots: SnapshotPolicy;
  #lost = false;
  #users = 0;
  #lastCommit: Promise<void> = Promise.resolve();
  readonly #displacedListeners = new Set<() => void>();

  constructor(context: FlowContext, start: RecorderStart) {
    this.#context = context;
    this.tenant = start.tenant;
    this.taskId = start.taskId;
    this.dialect = start.dialect;
    this.#ids = start.ids;
    this.#agentTaskId = start.agentTaskId;
    this.epoch = start.epoch;
    this.#attempt = start.attempt;
    this.fold = start.fold;
    this.#generation = start.generation;
    this.#snapshots = start.snapshots;
    this.#turn = start.turn;
  }

  /** A recorder that goes on where the record stands. */
  static fromView(context: FlowContext, view: TaskView): TaskRecorder {
    const { task } = view;
    return new TaskRecorder(context, {
      tenant: task.tenant,
      taskId: task.taskId,
      dialect: task.dialect,
      epoch: task.epoch,
      attempt: task.attempt,
      generation: task.generation,
      fold: foldOf(view),
      ids: idMap(task),
      agentTaskId: task.agentTaskId,
      snapshots: new SnapshotPolicy(
        view.snapshot?.task.length ?? 0,
        view.tail.reduce((sum, event) => sum + event.payload.length, 0),
      ),
      turn: null,
    });
  }

  /** The store has fenced this recorder, or its record could not be written: it writes and shows nothing more (P5). */
  get lost(): boolean {
    return this.#lost;
  }

  get generation(): number {
    return this.#generation;
  }

  get attempt(): number {
    return this.#attempt;
  }

  /** The agent's ids of the current attempt against the public ones. */
  get ids(): IdMap {
    return this.#ids;
  }

  /** The task's id at the agent; "" until the current attempt has shown one. */
  get agentTaskId(): string {
    return this.#agentTaskId;
  }

  get state(): TaskState {
    return foldHead(this.fold).state;
  }

  get contextId(): string {
    return foldHead(this.fold).contextId;
  }

  get turn(): RecordedTurn | null {
    return this.#turn;
  }

  /**
   * Whether there is nothing more to record for now: the task is finished, the active turn has ended, or without one the
   * task is at rest.
   */
  get resting(): boolean {
    return isTerminal(this.state) || (this.#turn ? this.#turn.ended : isAtRest(this.state));
  }

  hold(): void {
    this.#users += 1;
  }

  letGo(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#context.recorders.release(this);
  }

  /** Calls `listener` when a source has nothing to record here any more: the recorder is lost, another turn begins. */
  onDisplaced(listener: () => void): () => void {
    if (this.#lost) listener();
    else this.#displacedListeners.add(listener);
    return () => this.#displacedListeners.delete(listener);
  }

  /** A further try at the active turn begins: its ids are not known yet. */
  beginAttempt(attempt: number): void {
    this.#attempt = attempt;
    this.#artifacts = null;
    this.#agentTaskId = "";
    this.#ids = identityMap;
  }

  /** The attempt's artifacts take the places of those that the broken attempt left blank. */
  continueArtifacts(artifacts: AttemptArtifacts): void {
    this.#artifacts = artifacts;
  }

  /** The attempt has shown the ids it has at the agent; they go into the record with the next write. */
  adoptAgent(agentTaskId: string, agentContextId: string): void {
    const { taskId, contextId } = this;
    this.#agentTaskId = agentTaskId;
    this.#ids = idMap({ agentTaskId, taskId, agentContextId: agentContextId || contextId, contextId });
    this.#adopted = { agentTaskId, agentContextId: agentContextId || contextId };
  }

  /** An agent payload in public form, as this attempt's part of the task. */
  publicForm(kind: NewEvent["kind"], payload: string): string {
    const mapped = toPublic(this.dialect, payload, this.#ids);
    return kind === "artifact" && this.#artifacts ? this.#artifacts.adopt(mapped) : mapped;
  }

  /**
   * The next events belong to this turn. One before it that only gave up the queue ends here, and its source with it: two
   * sources of one task would record every event twice (I4).
   */
  beginTurn(turn: RecordedTurn): void {
    if (this.#turn && this.#turn.id !== turn.id) this.endTurn();
    this.#turn = turn;
    this.closeSources();
  }

  /** Nothing that is still read has anything to record here. */
  closeSources(): void {
    const listeners = [...this.#displacedListeners];
    this.#displacedListeners.clear();
    for (const listener of listeners) listener();
  }

  /**
   * Folds and appends events in public form. Those that come after a terminal state are dropped (P6). The first rest
   * ends the active turn in the same write.
   */
  record(events: readonly NewEvent[], options: RecordOptions = {}): void {
    if (this.#lost) return;
    const accepted = this.#fold(events);
    const turn = this.#turn;
    const head = foldHead(this.fold);
    const stated = accepted.some((event) => event.kind === "status" || event.kind === "task");
    const rests = options.rests ?? (stated && isAtRest(head.state));
    const ends = turn !== null && !turn.ended && (rests || options.end !== undefined);
    // Nothing is written to a terminal task, not even that its cancel is answered.
    if (accepted.length === 0 && !ends && (!options.cancelAnswered || isTerminal(head.state))) return;
    const expected = this.#generation;
    this.#generation += accepted.length;
    const startsTurn = turn !== null && turn.firstGeneration === null && accepted.length > 0;
    if (turn && startsTurn) turn.firstGeneration = expected + 1;
    if (turn && ends) turn.ended = true;
    this.#append({
      taskId: this.taskId,
      tenant: this.tenant,
      epoch: this.epoch,
      attempt: this.#attempt,
      expected,
      events: accepted,
      head: { state: head.state, statusTimestamp: head.statusTimestamp, contextId: head.contextId },
      snapshot: this.#snapshotFor(accepted, ends || isTerminal(head.state)),
      end: turn && ends ? { turnId: turn.id, ...(options.end ?? { state: "done", reply: null }) } : null,
      firstOf: turn && startsTurn ? turn.id : null,
      cancelAnswered: options.cancelAnswered ?? false,
      ...(this.#adopted ? { agentIds: this.#adopted } : {}),
    });
    this.#adopted = null;
  }

  /** A Task the agent has given outside its event source enters by the difference rule. `task` is in the agent's ids. */
  recordDifference(task: string, options: RecordOptions = {}): void {
    const before = foldHead(this.fold);
    const shown = taskToPublic(this.dialect, task, this.#ids);
    const adopted = this.#artifacts ? this.#artifacts.adoptTask(shown) : shown;
    const events = differenceFrom(this.fold, adopted, options.fresh ? { fresh: true } : {});
    const status = parseTask(this.dialect, task);
    // The Task of a follow-up may still show the status that the last turn ended with.
    const fresh =
      status.kind === "task" && (status.state !== before.state || status.timestamp !== before.statusTimestamp);
    const rests = events.length > 0 && fresh && status.kind === "task" && isAtRest(status.state);
    this.record(events, { rests, ...options });
  }

  /** A status of the sidecar's own making, with the reason as its message. */
  recordStatus(state: TaskState, reason: string, options: RecordOptions = {}): void {
    const { taskId, contextId } = foldHead(this.fold);
    const payload = statusPayload(this.dialect, {
      taskId,
      contextId,
      state,
      timestamp: this.#context.clock.now().toISOString(),
      message: { messageId: this.#context.newId(), text: reason },
      final: isAtRest(state),
    });
    this.record([{ kind: "status", payload, hidden: null }], options);
  }

  /** Completes the task with the agent's bare Message, which is also the turn's reply. */
  recordCompletion(message: string, reply: TurnReply): void {
    const { taskId, contextId } = foldHead(this.fold);
    const timestamp = this.#context.clock.now().toISOString();
    const status = { taskId, contextId, state: "completed" as const, timestamp, message, final: true };
    const payload = statusPayload(this.dialect, status);
    this.record([{ kind: "status", payload, hidden: null }], { end: { state: "done", reply } });
  }

  /** Gives the task up to others. */
  abandon(): void {
    this.#lose();
  }

  /** Ends the active turn although the task is not at rest: its source ended cleanly and nothing runs any more. */
  endTurn(reply: TurnReply | null = null, state: "done" | "failed" = "done"): void {
    if (this.#turn && !this.#turn.ended) this.record([], { end: { state, reply } });
  }

  /** Resolves when all that was recorded is committed or the recorder is lost. */
  settled(): Promise<void> {
    return this.#lastCommit;
  }

  /** Resolves when the commit queue has room again; the upstream is not read before. */
  room(): Promise<void> {
    return this.#context.commits.drained(MAX_PENDING_BYTES);
  }

  #fold(events: readonly NewEvent[]): NewEvent[] {
    const accepted: NewEvent[] = [];
    for (const event of events) {
      const first = accepted.length === 0 && this.#turn?.firstGeneration === null;
      const complete = first ? { ...event, hidden: joinHidden(this.#turn?.hidden ?? null, event.hidden) } : event;
      if (foldEvent(this.fold, complete) === "folded") accepted.push(complete);
    }
    return accepted;
  }

  #snapshotFor(events: readonly NewEvent[], ending: boolean): { task: string } | null {
    if (!this.#snapshots.isDue(events, ending)) return null;
    const task = snapshotText(this.fold);
    this.#snapshots.taken(task.length);
    return { task };
  }

  #append(write: TaskWrite): void {
    const outcome = this.#context.commits.append(write);
    this.#lastCommit = outcome.then(
      (result) => {
        if (result.kind === "fenced") this.#lose();
        else this.#committed(write, result);
      },
      (error: unknown) => this.#refused(error),
    );
  }

  #committed(write: TaskWrite, { promoted, failed, closed }: Extract<AppendOutcome, { kind: "committed" }>): void {
    const { feeds, board, metrics } = this.#context;
    if (write.events.length > 0) {
      const terminal = isTerminal(write.head.state);
      feeds.committed(
        this.taskId,
        write.events.map((event, index) => ({
          generation: write.expected + 1 + index,
          epoch: write.epoch,
          kind: event.kind,
          payload: event.payload,
          terminal: terminal && index === write.events.length - 1,
        })),
      );
      metrics.eventsRecorded(write.events.length);
    }
    if (write.firstOf)
      board.announce(write.firstOf, { kind: "bound", taskId: this.taskId, firstGeneration: write.expected + 1 });
    if (write.end) this.#announceEnd(write, write.end);
    for (const turnId of failed) board.announce(turnId, unsentTurn(this.taskId));
    for (const turnId of closed) board.endedElsewhere(turnId);
    if (promoted) this.#context.startTurn(promoted);
  }

  #announceEnd(write: TaskWrite, end: TurnEnd): void {
    this.#context.metrics.turnEnded(end.state);
    this.#context.board.announce(end.turnId, {
      kind: "ended",
      state: end.state,
      taskId: this.taskId,
      firstGeneration: this.#turn?.id === end.turnId ? this.#turn.firstGeneration : null,
      lastGeneration: write.expected + write.events.length,
      reply: end.reply,
      onlyTask: null,
    });
  }

  /** The store will never accept this content. The record stays as it is; the task fails with the reason. */
  async #refused(error: unknown): Promise<void> {
    if (this.#lost) return;
    // This process is about to end: whoever takes the task over goes on.
    if (error instanceof StoreError && error.kind === "unavailable") return this.#lose();
    this.#context.log.error({ err: error, taskId: this.taskId }, "event refused by the store, the task is failed");
    this.#lose();
    await failTask(this.#context, this.taskId, {
      epoch: this.epoch,
      turn: this.#turn,
      reason: "an event of this task could not be recorded",
    });
  }

  #lose(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#context.recorders.release(this);
    const turn = this.#turn;
    if (turn) this.#context.board.handOff(turn.id);
    if (turn?.origin && !turn.ended) abandonRun(this.#context, turn.origin, this.#agentTaskId);
    this.closeSources();
  }
}

const MAX_PENDING_BYTES = 8 * 1024 * 1024;

/** Ends a task as failed from what the record holds, if this epoch still owns it. */
export async function failTask(
  context: FlowContext,
  taskId: string,
  failure: { epoch: number; turn: RecordedTurn | null; reason: string },
): Promise<void> {
  const view = await retryStore(context, () => context.store.readView(taskId));
  if (!view || view.task.epoch !== failure.epoch || isTerminal(view.task.state)) return;
  const recorder = TaskRecorder.fromView(context, view);
  if (failure.turn) {
    const begun = failure.turn.firstGeneration !== null && failure.turn.firstGeneration <= view.task.generation;
    recorder.beginTurn({ ...failure.turn, firstGeneration: begun ? failure.turn.firstGeneration : null, ended: false });
  }
  recorder.recordStatus("failed", failure.reason);
  await recorder.settled();
}
