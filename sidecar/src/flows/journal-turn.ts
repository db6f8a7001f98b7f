/** Journals a message before anything else happens to it (P4), and gets it to the instance that shall run it. */
import type { JournalOutcome, NewTurn, TurnRow } from "../ports/task-store.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import type { TurnWatch } from "./turn-board.ts";

/** A send is held back this long by a store that does not answer, then it is refused with 503. */
export const JOURNAL_PATIENCE_MS = 2_000;
const NUDGE_INTERVAL_MS = 300;
/** A new message that its instance has not taken by then is run here. */
const REASSIGN_AFTER_MS = 1_000;

/** Idempotent by the turn's id: a retry after a lost reply finds the row that the first try inserted. */
export function journalTurn(context: FlowContext, turn: NewTurn): Promise<JournalOutcome> {
  return retryStore(context, () => context.store.journal(turn), JOURNAL_PATIENCE_MS);
}

/** The living instance that last ran a turn of this context, else this one (affinity). */
export async function chooseInstance(context: FlowContext, send: { caller: string; tenant: string; contextId: string | null }): Promise<string> {
  const self = context.settings.instanceId;
  if (context.settings.affinity === "None" || send.contextId === null) return self;
  return (await context.store.lastInstance(send.caller, send.tenant, send.contextId)) ?? self;
}

/** Follows the turn from here: in memory where this instance runs it, by its row where another one does. */
export function watchTurn(context: FlowContext, turn: TurnRow): TurnWatch {
  const local = turn.state === "dispatched" && turn.instance === context.settings.instanceId;
  return context.board.watch(turn.id, local ? "local" : "remote");
}

/**
 * Sees to it that a journaled turn is taken: runs it when it is ours, else nudges its instance, again and again, and
 * takes a new message over when nobody has. Never sends anything twice: every taking is a compare-and-set.
 */
export async function ensureTaken(
  context: FlowContext,
  given: { turn: TurnRow; journaled: NewTurn },
  watch: TurnWatch,
): Promise<void> {
  const { turn, journaled } = given;
  const self = context.settings.instanceId;
  if (turn.state === "dispatched" && turn.instance === self) return context.runDispatched(turn, journaled);
  if (turn.state === "journaled" && turn.instance === self) return context.startTurn(turn.id);
  const startedMs = context.clock.monotonicMs();
  for (;;) {
    const { progress } = watch;
    if (progress.kind !== "pending" || progress.taken) return;
    if (turn.state === "journaled") context.relay.nudge(turn.instance, { turnId: turn.id });
    const waited = new AbortController();
    await Promise.race([watch.changed(progress, waited.signal), context.clock.sleep(NUDGE_INTERVAL_MS, waited.signal)]);
    waited.abort();
    const overdue = context.clock.monotonicMs() - startedMs >= REASSIGN_AFTER_MS;
    if (overdue && turn.state === "journaled" && turn.taskId === null) {
      const ours = await context.store.reassignTurn(turn.id, turn.instance, self).catch(() => false);
      if (ours) context.startTurn(turn.id);
      if (ours) return;
    }
  }
}
