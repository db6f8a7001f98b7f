/**
 * The record's part in recovery and drain: whose work may be taken, by whom, under which epoch. Every claim is one
 * statement with `for update skip locked`, so that living replicas share the orphans without waiting for each other.
 */
import type { NewTurn, TaskRow, TurnRow, TurnState } from "./task-store.ts";

/** One reading of an instance's lease. */
export interface InstancePulse {
  id: string;
  podUid: string;
  /** Rises with every instance that registers. */
  seq: number;
  /** Moves by one at every renewal. */
  renewals: number;
  /** The lease has run out on the store's clock. */
  expired: boolean;
  draining: boolean;
}

/** A turn as it was claimed: the row after the claim, and where it stood before. */
export interface ClaimedTurn {
  turn: TurnRow;
  /** State before the claim. `journaled` was never given to an agent. */
  before: Extract<TurnState, "journaled" | "dispatched" | "bound">;
  /** The former holder ran in this instance's own pod: its agent may still be at work. */
  samePod: boolean;
}

export interface ClaimedTask {
  /** Owner = the claimer, epoch + 1. `agentTaskId` is "" unless the former owner ran in the same pod. */
  task: TaskRow;
  /** The turn in flight; null when the agent went on by itself (no turn) or only queued turns wait. */
  turn: ClaimedTurn | null;
  samePod: boolean;
}

export interface ClaimedWork {
  /** Turns without a task: instance = the claimer, epoch + 1, state dispatched. */
  turns: ClaimedTurn[];
  /**
   * Unfinished tasks that need somebody: a turn in flight or queued, or a state in which the agent works. Of predecessors
   * also those that wait for input: the claimer's agent knows them.
   */
  tasks: ClaimedTask[];
}

export interface ClaimRequest {
  self: string;
  selfPodUid: string;
  /** Instances that may be claimed from: silent by the caller's own clock. The store still asks that their lease ran out. */
  from: string[];
  /** Older instances of the same pod: claimed whatever their lease says. */
  predecessors: string[];
  /** Most tasks and most turns of one claim. 0: nothing is taken, but what a claim has taken whose reply was lost is given out. */
  limit: number;
}

/**
 * What became of a released turn's run here: `none` = no agent was given this attempt of a message without a task, which counts nothing; `handed-over`
 * = it goes on elsewhere as a hand-over; `lost` = it has failed, the next one is an attempt.
 */
export type ReleasedRun = "none" | "handed-over" | "lost";

export interface RecoveryStore {
  readPulses(): Promise<InstancePulse[]>;
  /**
   * Takes orphaned work: of `from` and `predecessors`, of instances whose row is gone, and what was released. A
   * dispatched or bound turn gets attempt + 1 (a released one was counted as a hand-over already), its epoch + 1. A
   * cancel mark that the former owner had taken counts as not taken. Where no turn is in flight and one is queued, the
   * first of them is promoted.
   */
  claimWork(request: ClaimRequest): Promise<ClaimedWork>;
  /**
   * Takes one unfinished task whose owner is gone (lease run out, row gone, released), because a client speaks to it.
   * Null when its owner lives or it moved meanwhile.
   */
  claimTask(taskId: string, claimer: { self: string; selfPodUid: string }): Promise<ClaimedTask | null>;
  /**
   * One more try of a turn whose run was lost under a living owner: the number after the `lost` attempt's on turn and task,
   * epoch kept. Null when the turn is not ours any more. `turn`: as it was journaled, put back where a crash of the store
   * lost it. May be repeated after an unknown outcome.
   */
  beginAttempt(
    turnId: string,
    owner: { instance: string; epoch: number; turn?: NewTurn | null },
    lost: number,
  ): Promise<TurnRow | null>;
  /**
   * Drain: gives up everything this instance holds, in one statement. Unfinished tasks with work left lose their owner
   * (epoch + 1), turns in flight count a hand-over; whoever claims first goes on at once.
   */
  releaseWork(instance: string): Promise<{ taskIds: string[]; turnIds: string[] }>;
  /**
   * Gives up one turn in flight, and its task with it, for whoever claims it. False = not ours any more.
   */
  releaseTurn(turnId: string, owner: { instance: string; epoch: number }, run: ReleasedRun): Promise<boolean>;
  /** Marks the instance as draining or not: draining ones are assigned nothing. */
  setDraining(instance: string, draining: boolean): Promise<void>;
  /** The youngest living instance that is not draining and not `self`; null when alone. */
  youngestInstance(self: string): Promise<string | null>;
  /**
   * Turns of an instance that is gone and that no claim covers (calls, and messages whose task is finished): ended as
   * failed. Returns their ids.
   */
  failOrphans(from: string[]): Promise<string[]>;
  /**
   * Deletes the rows of those that hold neither an unfinished task nor a turn that has not ended; the others stay: with the
   * row goes the knowledge of whose pod they ran in.
   */
  forgetInstances(ids: string[]): Promise<void>;
  /**
   * Deletes finished tasks past their retention with all that hangs on them, ended turns past the idempotency window
   * and rows of instances long gone, at most `limit` of each (P12).
   */
  sweep(retentionSeconds: number, limit: number): Promise<{ tasks: number; turns: number; instances: number }>;
}
