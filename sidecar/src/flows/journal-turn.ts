/** Journals a message before anything else happens to it (P4), and gets it to the instance that shall run it. */
import { isAtRest } from "../domain/task-state.ts";
import { type JournalOutcome, type NewTurn, StoreError, type TaskRow, type TurnRow } from "../ports/task-store.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import type { TurnWatch } from "./turn-board.ts";

/** A send is held back this long by a store that does not answer, then it is refused with 503. */
export const JOURNAL_PATIENCE_MS = 2_000;
const NUDGE_INTERVAL_MS = 300;
/** Holder of what anybody may claim. */
const NOBODY = "";
/** A new message that its instance has not taken by then is run here, or by whoever is there if this one drains. */
const REASSIGN_AFTER_MS = 1_000;

/** Idempotent by the turn's id: a retry after a lost reply finds the row that the first try inserted. */
export async function journalTurn(context: FlowContext, turn: NewTurn): Promise<JournalOutcome> {
  let doubtful = false;
  const journal = () =>
    context.store.journal(turn).catch((error: unknown) => {
      doubtful ||= error instanceof StoreError && error.kind === "unknown-outcome";
      throw error;
    });
  try {
    return await retryStore(context, journal, JOURNAL_PATIENCE_MS);
  } catch (error) {
    if (doubtful) void runIfJournaled(context, turn);
    throw error;
  }
}

/**
 * Its sender was told to come again, but the row may be there: as this instance's, so that nobody else would ever run it,
 * while the same send again joins it (P7).
 */
async function runIfJournaled(context: FlowContext, turn: NewTurn): Promise<void> {
  const row = await retryStore(context, () => context.store.readTurn(turn.id));
  if (row?.state === "dispatched" && row.instance === context.settings.instanceId) context.runDispatched(row, turn);
}

/**
 * The living instance that last ran a turn of this context, else this one (affinity). A draining instance gives new
 * messages to the youngest other one; alone it runs them within its grace. Null = nobody can run it.
 */
export async function chooseInstance(
  context: FlowContext,
  send: { caller: string; tenant: string; contextId: string | null },
): Promise<string | null> {
  const self = context.settings.instanceId;
  if (context.lifetime.draining) {
    const youngest = () => context.recovery.youngestInstance(self);
    return (await retryStore(context, youngest, JOURNAL_PATIENCE_MS)) ?? (context.lifetime.mayRun ? self : null);
  }
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
  { turn, journaled }: { turn: TurnRow; journaled: NewTurn },
): Promise<void> {
  const self = context.settings.instanceId;
  if (turn.state === "dispatched" && turn.instance === self) return context.runDispatched(turn, journaled);
  if (turn.state === "journaled" && turn.instance === self && turn.taskId === null) return context.startTurn(turn.id);
  // A watch of its own: the sender may be gone long before the turn is taken.
  const watch = context.board.watch(turn.id, "remote");
  try {
    await pursue(context, turn, watch);
  } finally {
    watch.close();
  }
}

async function pursue(context: FlowContext, turn: TurnRow, watch: TurnWatch): Promise<void> {
  const startedMs = context.clock.monotonicMs();
  for (;;) {
    if (turn.state === "journaled" && turn.instance !== "") context.relay.nudge(turn.instance, { turnId: turn.id });
    if (turn.taskId !== null && !(await claimForTurn(context, turn, turn.taskId))) return;
    const { progress } = watch;
    if (progress.kind !== "pending" || progress.taken) return;
    const waited = new AbortController();
    await Promise.race([watch.changed(progress, waited.signal), context.clock.sleep(NUDGE_INTERVAL_MS, waited.signal)]);
    waited.abort();
    const overdue = context.clock.monotonicMs() - startedMs >= REASSIGN_AFTER_MS;
    if (overdue && turn.state === "journaled" && turn.taskId === null && (await reassign(context, turn))) return;
  }
}

/** False: it was taken after all, or the store did not answer. */
async function reassign(context: FlowContext, { id, instance }: TurnRow): Promise<boolean> {
  const { lifetime, recovery, relay, settings, store } = context;
  const self = settings.instanceId;
  try {
    // What is left of the grace may be too short for it: to be cut off and begun anew costs its sender more time.
    const to = lifetime.draining && (await recovery.youngestInstance(self)) !== null ? NOBODY : self;
    if (!(await store.reassignTurn(id, instance, to))) return false;
    if (to === self) context.startTurn(id);
    else relay.publishClaimable();
    return true;
  } catch {
    return false;
  }
}

/** Takes the task of a message whose owner is gone; the message is run once the task is ours. False: the task is gone. */
async function claimForTurn(context: FlowContext, turn: TurnRow, taskId: string): Promise<boolean> {
  const task = await context.store.readTask(taskId).catch(() => undefined);
  if (task === null) return false;
  // What waits behind work in flight is started by whoever promotes it.
  const waits = turn.state === "queued" && task !== undefined && !isAtRest(task.state);
  if (task?.owner === context.settings.instanceId) {
    if (!waits) context.startTurn(turn.id);
  } else if (task && !task.ownerAlive) await claimFrom(context, task);
  return true;
}

async function claimFrom(context: FlowContext, { taskId, owner, state }: TaskRow): Promise<void> {
  const { settings, podUid, lifetime, recovery } = context;
  // A draining instance takes nothing: whoever takes released work finds this message with it.
  if (lifetime.draining) return context.relay.publishClaimable();
  // Right after an outage every lease has run out: work in flight is only taken from owners that stay silent.
  if (owner !== "" && !isAtRest(state)) return;
  // So it has when the store's clock has jumped; what an agent remembers of a task at rest is worth waiting for a renewal.
  if (context.heardOf(owner)) return;
  const claimed = await recovery.claimTask(taskId, { self: settings.instanceId, selfPodUid: podUid }).catch(() => null);
  if (claimed) context.recoverTask(claimed);
}
