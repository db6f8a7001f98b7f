/**
 * The front of the flows: which A2A call this is and who answers it. Whatever is not a recognised call with an id (batches,
 * notifications, unknown methods, malformed JSON) is the agent's own business and passes through unchanged (P10).
 */
import { a2aError } from "../protocol/a2a-errors.ts";
import { isAcceptedId, parseCall } from "../protocol/jsonrpc.ts";
import { operationOf } from "../protocol/methods.ts";
import type { Answer, HandleJsonRpc, RpcCall } from "./answer.ts";
import { answerCancel } from "./cancel-task.ts";
import { answerExtendedCard, type CardAddress } from "./extended-card.ts";
import type { CallOutcome, FlowContext } from "./flow-context.ts";
import { answerList } from "./list-tasks.ts";
import { withPatientReads } from "./patient-reads.ts";
import { answerPush } from "./push-configs.ts";
import { answerGet } from "./read-task.ts";
import { errorAnswer, orUnavailable, type Rpc } from "./rpc.ts";
import { answerSend } from "./send-message.ts";
import { answerSubscribe } from "./subscribe-task.ts";

export function answerCalls(context: FlowContext, card: CardAddress): HandleJsonRpc {
  const answer = recognise(context, card);
  return async (call) => {
    const startedMs = context.clock.monotonicMs();
    const { method, answered } = await answer(call);
    const seconds = (context.clock.monotonicMs() - startedMs) / 1000;
    context.metrics.call(method, outcomeOf(answered), seconds);
    return answered;
  };
}

/** What the answer means for the metric; a stream counts when it begins. */
function outcomeOf(answered: Answer | "pass-through"): CallOutcome {
  if (answered === "pass-through") return "pass-through";
  if (answered.kind === "events") return "ok";
  if (answered.status === 503) return "unavailable";
  return answered.refused ? "rpc-error" : "ok";
}

type Recognised = { method: string | null; answered: Answer | "pass-through" };

function recognise(context: FlowContext, card: CardAddress): (call: RpcCall) => Promise<Recognised> {
  const patient = withPatientReads(context);
  return async (call) => {
    const parsed = parseCall(call.text);
    if (parsed.kind === "other" || parsed.id === undefined) return { method: null, answered: "pass-through" };
    const known = operationOf(parsed.method);
    if (!known) return { method: parsed.method, answered: "pass-through" };
    const { method, params, id } = parsed;
    const rpc: Rpc = { ...known, method, params, id, caller: "", call };
    if (!isAcceptedId(id)) {
      const name = known.dialect === "1.0" ? "invalid-params" : "invalid-request";
      const error = a2aError(known.dialect, name, "The request id must be a string, an integer or null.");
      return { method, answered: errorAnswer(rpc, error) };
    }
    return {
      method,
      answered: await orUnavailable<Answer | "pass-through">(rpc, context.log, () =>
        answerOperation(patient, rpc, card),
      ),
    };
  };
}

function answerOperation(context: FlowContext, rpc: Rpc, card: CardAddress): Promise<Answer | "pass-through"> {
  switch (rpc.operation) {
    case "send":
    case "stream":
      return answerSend(context, rpc);
    case "get":
      return answerGet(context, rpc);
    case "list":
      return answerList(context, rpc);
    case "cancel":
      return answerCancel(context, rpc);
    case "subscribe":
      return answerSubscribe(context, rpc);
    case "push-set":
    case "push-get":
    case "push-list":
    case "push-delete":
      return answerPush(context, rpc);
    case "extended-card":
      return answerExtendedCard(context, rpc, card);
  }
}
