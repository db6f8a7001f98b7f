/** A run whose turn is somebody else's by now is cancelled at the agent here, best effort: its events count no more (I5). */
import { type CallOrigin, cancelAtAgent } from "./agent-calls.ts";
import type { FlowContext } from "./flow-context.ts";

export function abandonRun(context: FlowContext, origin: CallOrigin, agentTaskId: string): void {
  if (agentTaskId === "") return;
  cancelAtAgent(context, origin, agentTaskId).catch((error: unknown) => {
    context.log.debug({ err: error }, "an abandoned run could not be cancelled at the agent");
  });
}
