/** Gets a new message to the agent until something of it is recorded, it is refused, or it is somebody else's. */
import {
  attemptDelayMs,
  decideRecovery,
  type RecoveryDecision,
  type RecoveryReason,
  reasonText,
} from "../domain/recovery-decision.ts";
import type { TurnRow } from "../ports/task-store.ts";
import { parseTask, type TaskEventView } from "../protocol/events.ts";
import { stateName } from "../protocol/states.ts";
import { quote, setMember } from "../protocol/raw-json.ts";
import { PRESENCE_PATIENCE_MS } from "./agent-presence.ts";
import { createTask } from "./create-task.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";
import { runNewMessage } from "./run-new-message.ts";
import { endWithoutTask, unreachable } from "./end-turn.ts";
import type { OpenSend } from "./open-turn.ts";

/**
 * Delivers the message. A run that breaks off before anything was recorded is tried again by policy, or ends so that its
 * sender learns of it (P4).
 */
export async function deliverMessage(context: FlowContext, turn: OpenSend): Promise<void> {
  let current = turn;
  for (;;) {
    const end = await runNewMessage(context, current);
    if (end === "over") return;
    const decision = end === "broken" ? decideBroken(context, current) : null;
    if (decision?.kind === "fail") return failUnbound(context, current, decision.reason);
    const next = await awaitAgent(context, current, end);
    if (!next) return;
    await context.clock.sleep(attemptDelayMs(next, context.random()));
    current = { ...current, row: next };
  }
}

function decideBroken(context: FlowContext, { row }: OpenSend): RecoveryDecision {
  return decideRecovery({
    policy: context.settings.recoveryPolicy,
    maxAttempts: context.settings.maxAttempts,
    turn: { state: "dispatched", attempt: row.attempt + 1, handovers: row.handovers, purpose: row.purpose },
    taskState: null,
    samePod: true,
    agentSays: "unreachable",
  });
}

/** The turn to go on with once the agent answers; null when it is somebody else's, or its sender was told. */
async function awaitAgent(context: FlowContext, turn: OpenSend, end: "refused" | "broken"): Promise<TurnRow | null> {
  const { row } = turn;
  const owner = { instance: context.settings.instanceId, epoch: row.epoch };
  if (!(await context.presence.untilListening(context, PRESENCE_PATIENCE_MS))) {
    const other = await retryStore(context, () => context.recovery.youngestInstance(owner.instance));
    const release = () => context.recovery.releaseTurn(row.id, owner, end === "broken" ? "lost" : "none");
    const released = other !== null && (await retryStore(context, release));
    if (released) context.relay.publishClaimable();
    if (other !== null) context.board.handOff(row.id);
    else await endWithoutTask(context, turn, unreachable(turn));
    return null;
  }
  if (end === "refused") return row;
  const held = { ...owner, turn: turn.journaled };
  const next = await retryStore(context, () => context.recovery.beginAttempt(row.id, held, row.attempt));
  if (!next) context.board.handOff(row.id);
  return next;
}

/** Whoever sent it, and whoever joins, gets a Task that has failed: with the message in its history and the reason. */
export async function failUnbound(context: FlowContext, turn: OpenSend, reason: RecoveryReason): Promise<void> {
  context.log.warn({ turnId: turn.row.id, reason }, "message ends as a failed task");
  await createTask(context, turn, failedTask(context, turn, reasonText[reason]));
}

function failedTask(context: FlowContext, turn: OpenSend, reason: string): TaskEventView {
  const { dialect } = turn.row;
  const [taskId, contextId] = [context.newId(), turn.send.contextId ?? context.newId()];
  const kind = (name: string) => (dialect === "0.3" ? `"kind":${quote(name)},` : "");
  const role = dialect === "0.3" ? "agent" : "ROLE_AGENT";
  const part = `{${kind("text")}"text":${quote(reason)}}`;
  const message = `{${kind("message")}"messageId":${quote(context.newId())},"role":"${role}","parts":[${part}]}`;
  const timestamp = context.clock.now().toISOString();
  const status = `{"state":${quote(stateName(dialect, "failed"))},"message":${message},"timestamp":${quote(timestamp)}}`;
  const sent = setMember(setMember(turn.send.message, "taskId", quote(taskId)), "contextId", quote(contextId));
  const ids = `"id":${quote(taskId)},"contextId":${quote(contextId)}`;
  const task = `{${kind("task")}${ids},"status":${status},"history":[${sent}]}`;
  const event = parseTask(dialect, task);
  if (event.kind !== "task") throw new Error("the failed Task made for a lost message is none");
  return event;
}
