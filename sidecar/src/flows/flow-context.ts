/** What every flow needs: the ports, this instance's identity and the in-process registries that the flows share. */
import type { Agent } from "../ports/agent.ts";
import type { Clock } from "../ports/clock.ts";
import type { Relay } from "../ports/relay.ts";
import type { Seal } from "../ports/seal.ts";
import type { NewTurn, TaskStore, TurnRow } from "../ports/task-store.ts";
import type { RecoveryPolicy } from "../domain/recovery-decision.ts";
import type { ClaimedTask, RecoveryStore } from "../ports/recovery-store.ts";
import type { AgentPresence } from "./agent-presence.ts";
import type { AgentProfile } from "./agent-profile.ts";
import type { Lifetime } from "./drain.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { Logger } from "./logger.ts";
import type { RecorderRegistry } from "./recorder-registry.ts";
import type { TaskFeeds } from "./task-feeds.ts";
import type { TurnBoard } from "./turn-board.ts";

/** Settings of `loadConfig` that change what flows do. */
export interface FlowSettings {
  readonly instanceId: string;
  readonly leaseMs: number;
  readonly affinity: "Context" | "None";
  readonly recoveryPolicy: RecoveryPolicy;
  /** Most executor starts of one turn, hand-overs not counted. */
  readonly maxAttempts: number;
  /** 0 = retried sends are not recognised. */
  readonly idempotencyWindowSeconds: number;
  /** Largest event payload that is recorded, bytes of UTF-16 text. */
  readonly maxEventChars: number;
}

/** Outcome of one call, a closed set (I9). */
export type CallOutcome = "ok" | "rpc-error" | "unavailable" | "pass-through" | "internal";

/** Counters the flows raise; the server renders them. */
export interface FlowMetrics {
  /** `method` is null where the body is no JSON-RPC call. */
  call(method: string | null, outcome: CallOutcome, seconds: number): void;
  eventsRecorded(count: number): void;
  turnEnded(outcome: "done" | "failed" | "fenced"): void;
  idsMapped(): void;
  gapFilled(): void;
}

export interface FlowContext {
  readonly settings: FlowSettings;
  readonly store: TaskStore;
  readonly recovery: RecoveryStore;
  readonly commits: GroupCommit;
  readonly relay: Relay;
  readonly feeds: TaskFeeds;
  readonly board: TurnBoard;
  readonly recorders: RecorderRegistry;
  readonly agent: Agent;
  readonly profile: AgentProfile;
  readonly presence: AgentPresence;
  readonly lifetime: Lifetime;
  readonly clock: Clock;
  readonly seal: Seal;
  readonly log: Logger;
  readonly metrics: FlowMetrics;
  /** In [0, 1). */
  readonly random: () => number;
  /** A fresh UUIDv4. */
  readonly newId: () => string;
  /** Whether another instance has renewed its lease lately, on this process's own clock. */
  readonly heardOf: (instanceId: string) => boolean;
  /** Takes a turn by compare-and-set and runs it. */
  readonly startTurn: (turnId: string) => void;
  /** Runs a turn that this instance has journaled as dispatched. */
  readonly runDispatched: (turn: TurnRow, journaled: NewTurn) => void;
  /** Goes on with a task that was claimed because a client speaks to it. */
  readonly recoverTask: (claimed: ClaimedTask) => void;
  /** The pod this instance runs in: what an earlier process of it left is claimed with its agent's ids. */
  readonly podUid: string;
  /** Takes the cancel mark of a task this instance owns. */
  readonly startCancel: (taskId: string) => void;
}
