/** What a task's recorder is given: where it starts, for which turn it writes, and how. */
import type { Fold } from "../domain/fold.ts";
import type { IdMap } from "../domain/id-map.ts";
import type { SnapshotPolicy } from "../domain/snapshot-policy.ts";
import type { TurnReply } from "../ports/task-store.ts";
import type { Dialect } from "../protocol/dialect.ts";
import type { CallOrigin } from "./agent-calls.ts";

/** The turn whose events the recorder is writing. */
export interface RecordedTurn {
  id: string;
  /** Hidden messages that its first event carries, JSON array text. */
  hidden: string | null;
  firstGeneration: number | null;
  ended: boolean;
  /** On whose behalf it runs; null where that is not known. */
  origin: CallOrigin | null;
}

/** How a write ends what it belongs to. */
export interface RecordOptions {
  /** Ends the active turn with this write even though the task is not at rest. */
  end?: { state: "done" | "failed"; reply: TurnReply | null };
  cancelAnswered?: boolean;
  /** The Task is a new attempt's first: however old its status looks, it is news. */
  fresh?: boolean;
  /** Whether these events bring the task to rest; by default a status or Task event at rest does. */
  rests?: boolean;
}

/** Where the record stands when a recorder begins. */
export interface RecorderStart {
  tenant: string;
  taskId: string;
  dialect: Dialect;
  epoch: number;
  attempt: number;
  generation: number;
  fold: Fold;
  ids: IdMap;
  agentTaskId: string;
  snapshots: SnapshotPolicy;
  turn: RecordedTurn | null;
}
