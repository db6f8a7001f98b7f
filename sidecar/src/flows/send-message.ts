/**
 * Send and stream, on the caller's side: checks the message against the record, journals it, and answers from what the
 * turn brings, whichever instance runs it. The client may leave at any time; the turn goes on (P4).
 */
import { createHash } from "node:crypto";
import { HEADERS } from "@durable-agent/crds/contract";
import { dedupeKey } from "../domain/dedupe-key.ts";
import type { NewTurn, TaskRow, TurnRow } from "../ports/task-store.ts";
import { a2aError, terminalSendError } from "../protocol/a2a-errors.ts";
import { turnHeaders } from "../protocol/headers.ts";
import { parseSend, type SendParams } from "../protocol/params.ts";
import type { Answer } from "./answer.ts";
import { answerTurn } from "./answer-turn.ts";
import type { FlowContext } from "./flow-context.ts";
import { chooseInstance, ensureTaken, journalTurn, watchTurn } from "./journal-turn.ts";
import { errorAnswer, refuseTask, type Rpc, unavailableAnswer } from "./rpc.ts";
import { streamTurn } from "./stream-turn.ts";

export async function answerSend(context: FlowContext, rpc: Rpc): Promise<Answer | "pass-through"> {
  const params = parseSend(rpc.dialect, rpc.params);
  if (params.kind === "bad") return errorAnswer(rpc, params.error);
  const send = params.value;
  const task = send.taskId === null ? null : await context.store.readTask(send.taskId);
  if (send.taskId !== null && !task) return "pass-through";
  const refusal = task ? refuseFollowUp(rpc, task, send) : null;
  if (refusal) return refusal;
  const instance = task ? task.owner : await chooseInstance(context, { caller: rpc.caller, ...send });
  if (instance === null) return unavailableAnswer(rpc, "no-instance");
  const journaled = newTurn(context, rpc, { send, task, instance });
  const outcome = await journalTurn(context, journaled);
  if (outcome.kind === "no-task") return "pass-through";
  if (outcome.kind === "terminal")
    return errorAnswer(rpc, terminalSendError(rpc.dialect, send.taskId ?? "", outcome.state));
  const joined = outcome.kind === "joined";
  if (joined) context.log.debug({ turnId: outcome.turn.id }, "joined an equal send");
  return answerJournaled(context, rpc, { send, turn: outcome.turn, journaled, joined });
}

interface Sent {
  send: SendParams;
  turn: TurnRow;
  journaled: NewTurn;
  /** The same send was there already: its turn is shown, nothing is sent (P7). */
  joined: boolean;
}

async function answerJournaled(context: FlowContext, rpc: Rpc, sent: Sent): Promise<Answer> {
  const answer = await awaitAnswer(context, rpc, sent);
  return sent.joined ? { ...answer, headers: { ...answer.headers, [HEADERS.joined]: "true" } } : answer;
}

async function awaitAnswer(context: FlowContext, rpc: Rpc, sent: Sent): Promise<Answer> {
  const { turn, send, joined } = sent;
  const watch = joined ? context.board.watch(turn.id, "remote") : watchTurn(context, turn);
  if (!joined) {
    ensureTaken(context, sent).catch((error: unknown) => {
      context.log.warn({ err: error, turnId: turn.id }, "turn could not be handed on");
    });
  }
  if (rpc.operation === "stream") return streamTurn(context, rpc, { turn, watch, joined });
  try {
    return await answerTurn(context, rpc, { turn, send, watch });
  } finally {
    watch.close();
  }
}

function dedupeKeyOf(context: FlowContext, rpc: Rpc, send: SendParams): string | null {
  if (context.settings.idempotencyWindowSeconds === 0) return null;
  return dedupeKey({ caller: rpc.caller, ...send }, (text) => createHash("sha256").update(text).digest("base64url"));
}

function refuseFollowUp(rpc: Rpc, task: TaskRow, send: SendParams): Answer | null {
  const refusal = refuseTask(rpc, task, send.tenant);
  if (refusal) return refusal;
  // Whether the task has ended is for the journal to say: the same send may have come before that (P7).
  if (send.contextId === null || send.contextId === task.contextId) return null;
  const message = `Task ${task.taskId} does not belong to context ${send.contextId}.`;
  return errorAnswer(rpc, a2aError(rpc.dialect, "invalid-params", message));
}

function newTurn(
  context: FlowContext,
  rpc: Rpc,
  sent: { send: SendParams; task: TaskRow | null; instance: string },
): NewTurn {
  const { send, task, instance } = sent;
  return {
    id: context.newId(),
    purpose: "send",
    tenant: send.tenant,
    caller: rpc.caller,
    dialect: rpc.dialect,
    method: rpc.method,
    path: rpc.call.request.path,
    body: rpc.call.text,
    headers: context.seal.seal(JSON.stringify(turnHeaders(rpc.call.request.headers))),
    contextId: task?.contextId ?? send.contextId,
    taskId: task?.taskId ?? null,
    instance,
    self: context.settings.instanceId,
    aside: task?.state === "auth-required",
    dedupeKey: dedupeKeyOf(context, rpc, send),
  };
}
