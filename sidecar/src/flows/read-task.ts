/** Get: the Task as the record has it, the same on every replica (P1). Ids nobody has recorded are the agent's to answer (P10). */
import { taskText } from "../domain/fold.ts";
import { parseTaskParams } from "../protocol/params.ts";
import type { Answer } from "./answer.ts";
import type { FlowContext } from "./flow-context.ts";
import { errorAnswer, refuseTask, resultAnswer, type Rpc } from "./rpc.ts";
import { foldOf } from "./fold-view.ts";

export async function answerGet(context: FlowContext, rpc: Rpc): Promise<Answer | "pass-through"> {
  const params = parseTaskParams(rpc.dialect, rpc.params);
  if (params.kind === "bad") return errorAnswer(rpc, params.error);
  const { id, tenant, historyLength } = params.value;
  const view = await context.store.readView(id);
  if (!view) return "pass-through";
  return refuseTask(rpc, view.task, tenant) ?? resultAnswer(rpc, taskText(foldOf(view), { historyLength }));
}
