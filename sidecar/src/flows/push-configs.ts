/**
 * Push configurations. The agent that runs a task delivers its pushes, so every call goes to the owner's agent, on
 * whichever pod that is; what it accepted is stored as well, so that a config outlives the pod. Reads are answered by
 * the owner's agent while it lives and from the store afterwards.
 */
import type { NewTurn, PushConfigRow, TaskRow } from "../ports/task-store.ts";
import { a2aError } from "../protocol/a2a-errors.ts";
import { parsePush } from "../protocol/params.ts";
import { turnHeaders } from "../protocol/headers.ts";
import { member, text } from "../protocol/raw-json.ts";
import type { Answer } from "./answer.ts";
import { answerReply } from "./answer-turn.ts";
import type { FlowContext } from "./flow-context.ts";
import { ensureTaken, journalTurn, watchTurn } from "./journal-turn.ts";
import { errorAnswer, refuseTask, resultAnswer, type Rpc } from "./rpc.ts";
import type { TurnReply } from "../ports/task-store.ts";

/** The owner's agent answers within this, or the caller gets a retryable error. */
const CALL_PATIENCE_MS = 15_000;

export async function answerPush(context: FlowContext, rpc: Rpc): Promise<Answer | "pass-through"> {
  const params = parsePush(rpc.dialect, rpc.operation, rpc.params);
  if (params.kind === "bad") return errorAnswer(rpc, params.error);
  const { taskId, tenant, configId } = params.value;
  const task = await context.store.readTask(taskId);
  if (!task) return "pass-through";
  const refusal = refuseTask(rpc, task, tenant);
  if (refusal) return refusal;
  const reachable = task.ownerAlive || task.owner === context.settings.instanceId;
  if (!reachable) return answerFromStore(context, rpc, { taskId, configId });
  const reply = await callOwner(context, rpc, task);
  if (!reply)
    return errorAnswer(rpc, a2aError(rpc.dialect, "internal", "The agent that runs this task did not answer."));
  if (reply.kind === "result") await keepConfig(context, rpc, { taskId, configId, result: reply.payload });
  return answerReply(rpc, reply);
}

async function callOwner(context: FlowContext, rpc: Rpc, task: TaskRow): Promise<TurnReply | null> {
  const { path, headers } = rpc.call.request;
  const journaled: NewTurn = {
    id: context.newId(),
    purpose: "call",
    tenant: task.tenant,
    caller: rpc.caller,
    dialect: rpc.dialect,
    method: rpc.method,
    path,
    body: rpc.call.text,
    headers: context.seal.seal(JSON.stringify(turnHeaders(headers))),
    contextId: task.contextId,
    taskId: task.taskId,
    instance: task.owner,
    self: context.settings.instanceId,
    aside: true,
    dedupeKey: null,
  };
  const outcome = await journalTurn(context, journaled);
  if (outcome.kind !== "inserted") return null;
  const watch = watchTurn(context, outcome.turn);
  const stop = AbortSignal.any([rpc.call.signal, AbortSignal.timeout(CALL_PATIENCE_MS)]);
  try {
    void ensureTaken(context, { turn: outcome.turn, journaled });
    while (watch.progress.kind !== "ended" && !stop.aborted) await watch.changed(watch.progress, stop);
    return watch.progress.kind === "ended" ? watch.progress.reply : null;
  } finally {
    watch.close();
  }
}

async function keepConfig(
  context: FlowContext,
  rpc: Rpc,
  accepted: { taskId: string; configId: string | null; result: string },
): Promise<void> {
  const { taskId, configId, result } = accepted;
  if (rpc.operation === "push-delete" && configId !== null) return context.store.deletePushConfig(taskId, configId);
  if (rpc.operation !== "push-set") return;
  const config = rpc.dialect === "0.3" ? (member(result, "pushNotificationConfig") ?? "{}") : result;
  const row: PushConfigRow = {
    taskId,
    configId: text(member(config, "id")) ?? configId ?? taskId,
    url: text(member(config, "url")) ?? "",
    dialect: rpc.dialect,
    sealed: context.seal.seal(result),
  };
  await context.store.savePushConfig(row);
}

/** The owner is gone: reads come from the store; nothing is accepted that no agent would deliver. */
async function answerFromStore(
  context: FlowContext,
  rpc: Rpc,
  asked: { taskId: string; configId: string | null },
): Promise<Answer> {
  const rows = (await context.store.listPushConfigs(asked.taskId)).filter((row) => row.dialect === rpc.dialect);
  const configs = rows.map((row) => context.seal.open(row.sealed));
  if (rpc.operation === "push-list") {
    return resultAnswer(
      rpc,
      rpc.dialect === "0.3" ? `[${configs.join(",")}]` : `{"configs":[${configs.join(",")}],"nextPageToken":""}`,
    );
  }
  if (rpc.operation === "push-delete" && asked.configId !== null) {
    await context.store.deletePushConfig(asked.taskId, asked.configId);
    return resultAnswer(rpc, "null");
  }
  if (rpc.operation === "push-get") {
    const index = asked.configId === null ? 0 : rows.findIndex((row) => row.configId === asked.configId);
    const config = configs[index];
    if (config !== undefined) return resultAnswer(rpc, config);
    const name = rpc.dialect === "1.0" ? "task-not-found" : "internal";
    return errorAnswer(rpc, a2aError(rpc.dialect, name, "No such push notification configuration."));
  }
  return errorAnswer(
    rpc,
    a2aError(rpc.dialect, "internal", "The agent that ran this task is gone; nothing would be pushed."),
  );
}
