/** Ends of turns that have no event, and the replies they leave. */
import type { AgentReply } from "../ports/agent.ts";
import type { NewTurn, TurnReply, TurnRow } from "../ports/task-store.ts";
import { a2aError } from "../protocol/a2a-errors.ts";
import { forwardResponseHeaders, type Headers } from "../protocol/headers.ts";
import { errorEnvelope } from "../protocol/jsonrpc.ts";
import type { FlowContext } from "./flow-context.ts";
import type { OpenTurn } from "./open-turn.ts";
import { retryStore } from "./retry-store.ts";

/** The turn to end; `journaled` puts its row back where a crash of the store took it (P4). */
export interface EndingTurn {
  row: TurnRow;
  journaled?: NewTurn | null;
}

/** Ends a turn that has no event: with the agent's bare Message, its refusal, or an error of ours. */
export async function endWithoutTask(
  context: FlowContext,
  { row, journaled = null }: EndingTurn,
  reply: TurnReply | null,
): Promise<void> {
  const state = reply?.kind === "error" ? "failed" : "done";
  const instance = context.settings.instanceId;
  const end = { turnId: row.id, state, reply, epoch: row.epoch, instance, turn: journaled } as const;
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

/** An error reply as it is kept with a turn. */
export function errorReply(
  status: number,
  body: string,
  headers: Headers = { "content-type": "application/json" },
): TurnReply {
  return { kind: "error", status, headers: flatHeaders(headers), body };
}

/** Headers as they are kept with a reply: one value per name. */
export function flatHeaders(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value]),
  );
}
