/**
 * Runs a dispatched turn on the local agent and records what it emits. Independent of the client that sent it: whoever
 * waits follows the record (P2, P4). A turn ends with the first rest its source brings, with the clean end of that
 * source, or with the agent's refusal before anything was recorded.
 */
import type { NewTurn, TurnRow } from "../ports/task-store.ts";
import { parseSend } from "../protocol/params.ts";
import { deliverMessage } from "./deliver-message.ts";
import { endWithoutTask, ownError } from "./end-turn.ts";
import type { FlowContext } from "./flow-context.ts";
import { giveUpTurn } from "./give-up.ts";
import { openTurn } from "./open-turn.ts";
import { runFollowUp } from "./run-follow-up.ts";
import { runForwardedCall } from "./run-forwarded-call.ts";

/** Runs the turn to its end. Resolves when nothing of it is left to do here; never rejects. */
export async function runTurn(context: FlowContext, row: TurnRow, journaled: NewTurn | null = null): Promise<void> {
  try {
    const turn = openTurn(context, row);
    if (row.purpose === "call") return await runForwardedCall(context, turn);
    const send = parseSend(row.dialect, turn.params);
    if (send.kind === "bad") return await endWithoutTask(context, { row, journaled }, ownError(turn, send.error));
    if (row.taskId === null) await deliverMessage(context, { ...turn, send: send.value, journaled });
    else await runFollowUp(context, { ...turn, send: send.value, journaled });
  } catch (error) {
    context.log.error({ err: error, turnId: row.id }, "turn could not be run");
    await giveUpTurn(context, row.id).catch((cause: unknown) => {
      context.log.error({ err: cause, turnId: row.id }, "turn could not be ended");
    });
  }
}
