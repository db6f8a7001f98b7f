/** What becomes of work that this process cannot go on with: nothing stays at work because of an error here (P4). */
import type { TurnRow } from "../ports/task-store.ts";
import { a2aError } from "../protocol/a2a-errors.ts";
import { errorEnvelope } from "../protocol/jsonrpc.ts";
import { endWithoutTask, errorReply } from "./end-turn.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import { failTask } from "./task-recorder.ts";

const REASON = "The message could not be handed to the agent.";

/** A turn that has shown something ends with its task; any other ends alone, and its sender gets the error. */
export async function giveUpTurn(context: FlowContext, turnId: string): Promise<void> {
  const row = await retryStore(context, () => context.store.readTurn(turnId));
  if (!row || row.instance !== context.settings.instanceId) return context.board.handOff(turnId);
  if (row.taskId === null || row.firstGeneration === null) {
    const error = errorEnvelope(undefined, a2aError(row.dialect, "internal", REASON));
    return endWithoutTask(context, { row }, errorReply(500, error));
  }
  return giveUpTask(context, row.taskId, row);
}

/** Ends the task as failed, with the turn that was running it if there was one. */
export async function giveUpTask(
  context: FlowContext,
  taskId: string,
  held: { epoch: number } & Partial<Pick<TurnRow, "id" | "firstGeneration">>,
): Promise<void> {
  const { epoch, id, firstGeneration = null } = held;
  context.recorders.get(taskId)?.abandon();
  const turn = id === undefined ? null : { id, hidden: null, firstGeneration, ended: false, origin: null };
  await failTask(context, taskId, { epoch, turn, reason: REASON });
}
