/** By which operation a message goes to the agent. */
import type { FlowContext } from "./flow-context.ts";
import type { OpenSend } from "./open-turn.ts";

/**
 * The one the client chose, but for a non-blocking send to a 0.3 agent on Python's SDK: it goes up as a stream, so that its
 * run has a source, for such an agent is never subscribed to. What it would have replied is the stream's first event.
 */
export async function upstreamOperation(context: FlowContext, turn: OpenSend): Promise<"stream" | "send"> {
  if (turn.operation === "stream") return "stream";
  if (turn.send.blocking !== false) return "send";
  const { python03, streaming } = await context.profile.traits();
  return python03 && streaming === true ? "stream" : "send";
}
