/**
 * Runs a dispatched turn on the local agent and records what it emits. Independent of the client that sent it: whoever
 * waits follows the record (P2, P4). A turn ends with the first rest its source brings, with the clean end of that
 * source, or with the agent's refusal before anything was recorded.
 */
import type { AgentReply } from "../ports/agent.ts";
import type { NewTurn, TurnReply, TurnRow } from "../ports/task-store.ts";
import { a2aError } from "../protocol/a2a-errors.ts";
import { forwardResponseHeaders, type Headers } from "../protocol/headers.ts";
import { errorEnvelope, parseCall } from "../protocol/jsonrpc.ts";
import { operationOf, type Operation } from "../protocol/methods.ts";
import { parseSend, type SendParams } from "../protocol/params.ts";
import type { CallOrigin } from "./agent-calls.ts";
import { retryStore } from "./retry-store.ts";
import type { FlowContext } from "./flow-context.ts";
import { runFollowUp } from "./run-follow-up.ts";
import { runForwardedCall } from "./run-forwarded-call.ts";
import { runNewMessage } from "./run-new-message.ts";

/** A turn with its request opened again. */
export interface OpenTurn {
  row: TurnRow;
  origin: CallOrigin;
  operation: Operation;
  /** Raw JSON-RPC id of the request, for replies that are shown as they come. */
  id: string;
  params: string;
}

export interface OpenSend extends OpenTurn {
  send: SendParams;
  /** As this instance journaled it; null when it was taken from its row, which is durable then. */
  journaled: NewTurn | null;
}

/** Runs the turn to its end. Resolves when nothing of it is left to do here; never rejects. */
export async function runTurn(context: FlowContext, row: TurnRow, journaled: NewTurn | null = null): Promise<void> {
  try {
    const turn = openTurn(context, row);
    if (row.purpose === "call") return await runForwardedCall(context, turn);
    const send = parseSend(row.dialect, turn.params);
    if (send.kind === "bad") return await endWithoutTask(context, row, ownError(turn, send.error));
    if (row.taskId === null) await runNewMessage(context, { ...turn, send: send.value, journaled });
    else await runFollowUp(context, { ...turn, send: send.value, journaled });
  } catch (error) {
    context.log.error({ err: error, turnId: row.id }, "turn could not be run");
    const reply = errorReply(500, errorEnvelope(undefined, a2aError(row.dialect, "internal", "The message could not be handed to the agent.")));
    await endWithoutTask(context, row, reply).catch((cause: unknown) => {
      context.log.error({ err: cause, turnId: row.id }, "turn could not be ended");
    });
  }
}

/** The journaled message of a turn; null when it is none or cannot be read any more. */
export function openSend(context: FlowContext, row: TurnRow): OpenSend | null {
  if (row.purpose !== "send") return null;
  const turn = openTurn(context, row);
  const send = parseSend(row.dialect, turn.params);
  return send.kind === "ok" ? { ...turn, send: send.value, journaled: null } : null;
}

function openTurn(context: FlowContext, row: TurnRow): OpenTurn {
  const call = parseCall(row.body);
  const operation = operationOf(row.method)?.operation;
  if (call.kind !== "call" || !operation) throw new Error("a journaled request is no A2A call");
  const headers = row.headers ? (JSON.parse(context.seal.open(row.headers)) as Headers) : {};
  return {
    row,
    operation,
    id: call.id ?? "null",
    params: call.params ?? "{}",
    origin: { dialect: row.dialect, tenant: row.tenant, path: row.path, headers },
  };
}

/** Ends a turn that has no event: with the agent's bare Message, its refusal, or an error of ours. */
export async function endWithoutTask(context: FlowContext, row: TurnRow, reply: TurnReply | null): Promise<void> {
  const state = reply?.kind === "error" ? "failed" : "done";
  const end = { turnId: row.id, state, reply, epoch: row.epoch, instance: context.settings.instanceId } as const;
  const outcome = await retryStore(context, () => context.store.endTurn(end));
  if (outcome.kind === "deposed") {
    context.board.handOff(row.id);
    context.metrics.turnEnded("fenced");
    return;
  }
  context.metrics.turnEnded(state);
  const { id, taskId, firstGeneration, lastGeneration } = row;
  context.board.announce(id, { kind: "ended", state, taskId, firstGeneration, lastGeneration, reply, onlyTask: null });
  if (outcome.promoted) context.startTurn(outcome.promoted);
}

/** The agent's own error reply, kept as it came. */
export function agentError(reply: AgentReply): TurnReply {
  return errorReply(reply.status, reply.body, forwardResponseHeaders(reply.headers, { bodyChanged: true }));
}

/** An error of the sidecar's own, in the dialect's shape. */
export function ownError(turn: OpenTurn, error: string): TurnReply {
  return errorReply(200, errorEnvelope(turn.id, error));
}

/** The agent could not be reached or broke off before it said anything. */
export function unreachable(turn: OpenTurn): TurnReply {
  const error = a2aError(turn.row.dialect, "internal", "The agent did not answer.");
  return errorReply(502, errorEnvelope(turn.id, error));
}

function errorReply(status: number, body: string, headers: Headers = { "content-type": "application/json" }): TurnReply {
  return { kind: "error", status, headers: flatHeaders(headers), body };
}

/** Headers as they are kept with a reply: one value per name. */
export function flatHeaders(headers: Headers): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value]));
}
