/**
 * Finds out which messages without a task are somebody else's by now while the agent here is silent about them: whoever
 * waits for them here follows the record from then on, and the run that does not count is cancelled (P5, I5).
 */
import type { TurnHolder } from "../ports/task-store.ts";
import { abandonRun } from "./abandon-run.ts";
import { findAgentTask } from "./find-agent-task.ts";
import type { FlowContext } from "./flow-context.ts";
import type { OpenSend } from "./open-turn.ts";

/** Looks at the messages that were without a task at the last look too. */
export class DeposedTurns {
  #seen = new Set<OpenSend>();
  readonly #cancelled = new WeakSet<OpenSend>();

  async look(context: FlowContext): Promise<void> {
    const all = context.unbound.all();
    const quiet = all.filter((turn) => this.#seen.has(turn));
    this.#seen = new Set(all);
    if (quiet.length === 0) return;
    const holders = await context.store.readHolders(quiet.map(({ row }) => row.id));
    const holderOf = new Map(holders.map((holder) => [holder.turnId, holder]));
    for (const turn of quiet) {
      const holder = holderOf.get(turn.row.id);
      if (holder === undefined) await putBack(context, turn);
      else if (isDeposed(turn, holder, context.settings.instanceId)) this.#drop(context, turn, holder);
    }
  }

  #drop(context: FlowContext, turn: OpenSend, holder: TurnHolder): void {
    context.board.handOff(turn.row.id);
    if (this.#cancelled.has(turn) || !isKnown(holder) || holder.instance === context.settings.instanceId) return;
    this.#cancelled.add(turn);
    cancelRun(context, turn, holder).catch((error: unknown) => {
      context.log.debug({ err: error, turnId: turn.row.id }, "a run that does not count could not be cancelled");
    });
  }
}

/** A crash of the store took the row, and nothing told of the crash. Not ours any more where its retry has its place. */
async function putBack(context: FlowContext, { row, journaled }: OpenSend): Promise<void> {
  const restored = journaled && row.epoch === 1 ? await context.store.restoreTurns([journaled]) : [];
  if (restored.length === 0) context.board.handOff(row.id);
}

/** A task that this very run has just created is one epoch on. */
function isDeposed({ row }: OpenSend, holder: TurnHolder, self: string): boolean {
  return holder.instance !== self || holder.epoch > row.epoch + (holder.taskId === null ? 0 : 1);
}

/** Agents may share their tasks: until it is known which run counts, one that is found may be just that. */
function isKnown({ state, agentTaskId }: TurnHolder): boolean {
  return state === "done" || state === "failed" || (agentTaskId ?? "") !== "";
}

async function cancelRun(context: FlowContext, turn: OpenSend, holder: TurnHolder): Promise<void> {
  const task = await findAgentTask(context, turn);
  if (task === null || task.taskId === holder.agentTaskId || task.taskId === holder.taskId) return;
  abandonRun(context, turn.origin, task.taskId);
}
