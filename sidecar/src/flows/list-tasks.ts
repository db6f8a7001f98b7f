/** ListTasks (1.0 §3.1.4): the caller's recorded tasks, newest status first, with page tokens of our own. */
import { taskText } from "../domain/fold.ts";
import { NO_STATUS_TIMESTAMP, type TaskView } from "../ports/task-store.ts";
import { a2aError } from "../protocol/a2a-errors.ts";
import { type ListParams, parseList } from "../protocol/params.ts";
import { quote } from "../protocol/raw-json.ts";
import type { Answer } from "./answer.ts";
import type { FlowContext } from "./flow-context.ts";
import { errorAnswer, resultAnswer, type Rpc } from "./rpc.ts";
import { foldOf } from "./fold-view.ts";

type Position = { statusTimestamp: string; taskId: string };

export async function answerList(context: FlowContext, rpc: Rpc): Promise<Answer> {
  const params = parseList(rpc.params);
  if (params.kind === "bad") return errorAnswer(rpc, params.error);
  const { tenant, contextId, state, statusTimestampAfter, pageSize, pageToken } = params.value;
  const after = pageToken === "" ? null : openToken(pageToken);
  if (after === "bad")
    return errorAnswer(rpc, a2aError(rpc.dialect, "invalid-params", "pageToken is not one of this server's."));
  const page = await context.store.listTasks({
    tenant,
    caller: rpc.caller,
    contextId,
    state,
    statusTimestampAfter,
    pageSize,
    after,
  });
  const last = page.views.at(-1);
  const next = page.more && last ? tokenFor(last) : "";
  const tasks = page.views.map((view) => listedTask(view, params.value)).join(",");
  const { totalSize } = page;
  return resultAnswer(
    rpc,
    `{"tasks":[${tasks}],"nextPageToken":${quote(next)},"pageSize":${pageSize},"totalSize":${totalSize}}`,
  );
}

function listedTask(view: TaskView, params: ListParams): string {
  const { historyLength, includeArtifacts } = params;
  // Asked for, artifacts are there even where there are none (1.0 §3.1.4).
  return taskText(foldOf(view), { historyLength, includeArtifacts, emptyArtifacts: includeArtifacts });
}

const TOKEN_PREFIX = "da1|";

function tokenFor(view: TaskView): string {
  const position = `${TOKEN_PREFIX}${view.task.statusTimestamp ?? NO_STATUS_TIMESTAMP}|${view.task.taskId}`;
  return Buffer.from(position, "utf8").toString("base64url");
}

/** Page tokens of an agent and of the sidecar never mix: ours carry a mark. */
function openToken(token: string): Position | "bad" {
  const position = Buffer.from(token, "base64url").toString("utf8");
  const separator = position.indexOf("|", TOKEN_PREFIX.length);
  if (!position.startsWith(TOKEN_PREFIX) || separator < 0) return "bad";
  const statusTimestamp = position.slice(TOKEN_PREFIX.length, separator);
  const isTimestamp = !Number.isNaN(Date.parse(statusTimestamp));
  return isTimestamp ? { statusTimestamp, taskId: position.slice(separator + 1) } : "bad";
}
