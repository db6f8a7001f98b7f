/**
 * The record: tasks, their numbered events, turns and instances in one durable store.
 *
 * Every method is bound to one `AGENT_KEY`. A method either does all it says or nothing (I8). An expected result is a
 * value of the returned union; a rejected promise is a {@link StoreError} and means the store could not be asked, or
 * did not say what it did (`outcomeUnknown`).
 */
import type { Dialect } from "../protocol/dialect.ts";
import type { TaskState } from "../domain/task-state.ts";

/** What happened in one generation of a task. `other` is a stream result that is no A2A event; it is relayed, never folded. */
export type EventKind = "task" | "status" | "artifact" | "message" | "other";

/** One event in public form, ready to be shown. `payload` is the JSON text of the JSON-RPC `result`, on one line. */
export interface NewEvent {
  kind: EventKind;
  payload: string;
  /** JSON text of an array of Messages that belong into the history but are never sent; null when there are none. */
  hidden: string | null;
}

export interface EventRow extends NewEvent {
  /** 1, 2, 3 … without gaps (I1). */
  generation: number;
  epoch: number;
  attempt: number;
}

export interface TaskRow {
  tenant: string;
  caller: string;
  taskId: string;
  contextId: string;
  dialect: Dialect;
  state: TaskState;
  /** ISO 8601 with milliseconds, null when the agent never gave one. */
  statusTimestamp: string | null;
  generation: number;
  /** Instance id of the holder; the row keeps it after the turn ended. */
  owner: string;
  /** Whether the owner's lease is running on the store's clock and it is not draining. */
  ownerAlive: boolean;
  epoch: number;
  attempt: number;
  /** The ids the current attempt has at the agent; equal to the public ones unless mapped. */
  agentTaskId: string;
  agentContextId: string;
  cancel: CancelMark | null;
}

export interface CancelMark {
  /** Sealed headers of the caller who asked. */
  headers: Uint8Array | null;
  taken: boolean;
  /** The agent's JSON-RPC error object, once it has answered with one. */
  error: string | null;
}

export type TurnState = "queued" | "journaled" | "dispatched" | "bound" | "done" | "failed";

/** `send` carries a message; `call` is another A2A call that only the task's own agent can answer (push configs). */
export type TurnPurpose = "send" | "call";

/** What a Turn was answered with when that is not a Task: a bare Message, or the agent's own error reply. */
export type TurnReply =
  | { kind: "message"; payload: string; headers: Record<string, string> }
  | { kind: "result"; payload: string; headers: Record<string, string> }
  | { kind: "error"; status: number; headers: Record<string, string>; body: string };

export interface TurnRow {
  id: string;
  purpose: TurnPurpose;
  tenant: string;
  caller: string;
  dialect: Dialect;
  /** JSON-RPC method as received. */
  method: string;
  /** Request target (path and query) the call came in on. */
  path: string;
  /** JSON text of the request body as received. */
  body: string;
  /** Sealed request headers; null once erased. */
  headers: Uint8Array | null;
  contextId: string | null;
  taskId: string | null;
  instance: string;
  instanceAlive: boolean;
  epoch: number;
  attempt: number;
  /** Planned moves to another instance; they do not count as attempts (P8). */
  handovers: number;
  state: TurnState;
  /** Forwarded during auth-required or a `call`: does not hold the task's queue. */
  aside: boolean;
  reply: TurnReply | null;
  firstGeneration: number | null;
  lastGeneration: number | null;
}

/** Whose a turn is at this moment. */
export interface TurnHolder {
  turnId: string;
  state: TurnState;
  /** As in {@link TurnRow}: with a task its owner and epoch. */
  instance: string;
  epoch: number;
  taskId: string | null;
  /** The task's id at the owner's agent, "" where that is not known; null without a task. */
  agentTaskId: string | null;
}

export interface NewTurn {
  id: string;
  purpose: TurnPurpose;
  tenant: string;
  caller: string;
  dialect: Dialect;
  method: string;
  path: string;
  body: string;
  headers: Uint8Array | null;
  contextId: string | null;
  /** Public id of the task a follow-up names; null for a new message. */
  taskId: string | null;
  /** Who shall run it. For a follow-up the store overrides it with the task's owner where that is alive. */
  instance: string;
  /** The instance that inserts. A turn that its inserter will run is stored as `dispatched` at once. */
  self: string;
  aside: boolean;
  /** Idempotency key, null when the message id does not qualify (P7). */
  dedupeKey: string | null;
}

export type JournalOutcome =
  | { kind: "inserted"; turn: TurnRow }
  /** The same send is there already (P7). */
  | { kind: "joined"; turn: TurnRow }
  | { kind: "terminal"; state: TaskState }
  | { kind: "no-task" };

export interface NewTask {
  taskId: string;
  contextId: string;
  agentTaskId: string;
  agentContextId: string;
  dialect: Dialect;
}

/** The head of a task after a write. */
export interface TaskHead {
  state: TaskState;
  statusTimestamp: string | null;
  contextId: string;
}

/** The bare Task of the fold at the write's last generation. */
export interface Snapshot {
  task: string;
}

/** How a turn ends together with the write that carries it. */
export interface TurnEnd {
  turnId: string;
  state: "done" | "failed";
  reply: TurnReply | null;
}

export type CreateOutcome =
  | { kind: "created"; epoch: number; promoted: string | null }
  /** The turn is not ours any more: nothing was stored (I2). */
  | { kind: "deposed" }
  /** Another task of this agent has this id: the caller maps it and tries again. */
  | { kind: "id-taken" };

/** May be repeated after an unknown outcome: what it stored before is recognised as created. */
export interface TaskCreation {
  turnId: string;
  /** Epoch of the turn; the task starts with this + 1. */
  epoch: number;
  task: NewTask;
  events: NewEvent[];
  head: TaskHead;
  snapshot: Snapshot | null;
  /** Set when the events hold the turn's end. */
  end: TurnEnd | null;
  /**
   * The turn as it was journaled. A journal insert is not flushed by itself, so a crash of the store can lose it while
   * its instance lives on: given here it is put back first.
   */
  turn?: NewTurn;
}

/** Events of one task, in order, and what ends with them. `events` may be empty when only a turn ends. */
export interface TaskWrite {
  taskId: string;
  tenant: string;
  epoch: number;
  attempt: number;
  /** Generation before this write. */
  expected: number;
  events: NewEvent[];
  head: TaskHead;
  snapshot: Snapshot | null;
  end: TurnEnd | null;
  /** The turn whose first generation is in this write. */
  firstOf: string | null;
  /** Clears the cancel mark (answered). */
  cancelAnswered: boolean;
  /** The ids a further attempt has at its agent. */
  agentIds?: { agentTaskId: string; agentContextId: string };
}

export type AppendOutcome =
  /**
   * `promoted`: the turn that is next. Of the other turns, where the task became terminal: `failed` those of which nothing
   * is recorded, `closed` those with events.
   */
  { kind: "committed"; promoted: string | null; failed: string[]; closed: string[] } | { kind: "fenced" };

/** What a task without a status timestamp sorts as: behind all that have one. Use it in {@link ListQuery.after} too. */
export const NO_STATUS_TIMESTAMP = "1970-01-01T00:00:00.000Z";

export interface TaskView {
  task: TaskRow;
  snapshot: { generation: number; task: string } | null;
  /** Events after the snapshot, in order. */
  tail: EventRow[];
}

export interface ListQuery {
  tenant: string;
  caller: string;
  contextId: string | null;
  state: TaskState | null;
  /** Inclusive. A task without a timestamp is never after one. */
  statusTimestampAfter: string | null;
  pageSize: number;
  /** Position after which to go on: (status timestamp, id), exclusive. */
  after: { statusTimestamp: string; taskId: string } | null;
}

export interface ListPage {
  /** Sorted by status timestamp, newest first, then id. */
  views: TaskView[];
  totalSize: number;
  more: boolean;
}

export type CancelRequest =
  | { kind: "marked"; task: TaskRow }
  | { kind: "terminal"; task: TaskRow }
  | { kind: "no-task" };

export interface TaskPosition {
  taskId: string;
  generation: number;
  state: TaskState;
}

export interface InstanceWork {
  /** Turns assigned to the instance (or to tasks it owns) that nobody has taken. */
  turnIds: string[];
  /** Tasks it owns with a cancel mark that nobody has taken. */
  cancelTaskIds: string[];
}

export interface PushConfigRow {
  taskId: string;
  configId: string;
  url: string;
  dialect: Dialect;
  /** Sealed JSON text of the whole config as the client sent it. */
  sealed: Uint8Array;
}

export interface InstanceRow {
  id: string;
  podName: string;
  podUid: string;
  startedAt: Date;
  draining: boolean;
  alive: boolean;
}

/** An instance as it enters the record. One that enters during its drain is given nothing. */
export interface NewInstance {
  id: string;
  podName: string;
  podUid: string;
  /** Default false. */
  draining?: boolean;
}

export interface TaskStore {
  // Turns
  /**
   * Stores the turn before anything is done with it (P4), or finds the same send (P7). A follow-up is queued when a
   * turn of its task is in flight, else assigned to the task's owner; with a dead owner it stays journaled for `self`.
   * May be repeated with the same id after an unknown outcome.
   */
  journal(turn: NewTurn): Promise<JournalOutcome>;
  /**
   * Puts back those of these turns that a crash of the store took, as they were journaled: dispatched, in their first
   * epoch. Nothing is done for one that is there or whose dedupe key another turn has. Returns the ids of the others.
   */
  restoreTurns(turns: NewTurn[]): Promise<string[]>;
  readTurn(turnId: string): Promise<TurnRow | null>;
  /** The turns of these ids that exist, in any order; one statement. */
  readTurns(turnIds: string[]): Promise<TurnRow[]>;
  /** Who holds those of these turns that exist, in any order; one statement that reads no payload. */
  readHolders(turnIds: string[]): Promise<TurnHolder[]>;
  /** Journaled to dispatched by compare-and-set; null when somebody else has it (I5). */
  takeTurn(turnId: string, instance: string): Promise<TurnRow | null>;
  /**
   * Gives a turn that is still journaled to another instance; false when it was taken meanwhile, or has a task (it
   * follows the task's owner).
   */
  reassignTurn(turnId: string, from: string, to: string): Promise<boolean>;
  /**
   * Ends a dispatched turn that has no events: a bare Message, an error reply (which gives up the dedupe key, so that a
   * retry is a new send). `turn` as in {@link TaskCreation}. May be repeated after an unknown outcome.
   */
  endTurn(
    end: TurnEnd & { epoch: number; instance: string; turn?: NewTurn | null },
  ): Promise<{ kind: "ended"; promoted: string | null } | { kind: "deposed" }>;
  /** A bound turn that no longer holds the queue (its source is only a subscription or poll and it went quiet). */
  releaseQueue(turnId: string, epoch: number): Promise<{ promoted: string | null }>;
  /** Work meant for this instance that it has not taken. */
  findWork(instance: string): Promise<InstanceWork>;
  /** The living instance that last ran a turn of this context, null when none does. */
  lastInstance(caller: string, tenant: string, contextId: string): Promise<string | null>;

  // Tasks
  createTask(creation: TaskCreation): Promise<CreateOutcome>;
  /** One atomic statement for all writes; a fenced task drops out alone. Same order as given. */
  append(writes: TaskWrite[]): Promise<AppendOutcome[]>;
  /** After a lost reply: what the store holds of each write. `unsent` = the write did not happen and may be repeated. */
  settle(writes: TaskWrite[]): Promise<("committed" | "unsent" | "fenced")[]>;
  readTask(taskId: string): Promise<TaskRow | null>;
  /** Task, snapshot and tail of one moment. */
  readView(taskId: string): Promise<TaskView | null>;
  /** Events after a generation, at most `limit` rows or about `maxBytes` of payload (at least one row). */
  readEvents(taskId: string, after: number, limit: number, maxBytes: number): Promise<EventRow[]>;
  readPositions(taskIds: string[]): Promise<TaskPosition[]>;
  listTasks(query: ListQuery): Promise<ListPage>;
  countTasks(): Promise<{ state: TaskState; count: number }[]>;

  // Cancel
  requestCancel(taskId: string, headers: Uint8Array | null): Promise<CancelRequest>;
  /** The owner takes the mark by compare-and-set; null when there is none, it was taken, or the task moved. */
  takeCancel(taskId: string, owner: string): Promise<TaskRow | null>;
  /** The agent refused: kept for the callers who wait, mark cleared by the next request. */
  refuseCancel(taskId: string, epoch: number, error: string): Promise<boolean>;
  /**
   * Deposes the owner (epoch + 1, owner = self), commits the canceled status and ends all turns of the task, in one
   * statement. Null = it moved meanwhile, or the mark is gone or was taken. `ended`: those turns.
   */
  deposeAndCancel(write: TaskWrite & { self: string }): Promise<{ epoch: number; ended: string[] } | null>;

  // Push configurations
  savePushConfig(config: PushConfigRow): Promise<void>;
  deletePushConfig(taskId: string, configId: string): Promise<void>;
  listPushConfigs(taskId: string): Promise<PushConfigRow[]>;

  // Instances
  registerInstance(instance: NewInstance, leaseMs: number): Promise<void>;
  renewInstance(id: string, leaseMs: number, draining: boolean): Promise<boolean>;
  removeInstance(id: string): Promise<void>;
  listInstances(): Promise<InstanceRow[]>;

  close(): Promise<void>;
}

/** The store could not be asked, or refused the content. */
export class StoreError extends Error {
  /**
   * `unavailable`: nothing reached it, try later. `unknown-outcome`: the reply was lost after sending. `conflict`:
   * serialisation failure or deadlock, repeat at once. `rejected`: this content will never be accepted.
   */
  readonly kind: "unavailable" | "unknown-outcome" | "conflict" | "rejected";
  constructor(kind: StoreError["kind"], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "StoreError";
    this.kind = kind;
  }
}
