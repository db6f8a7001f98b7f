/** Whether the local agent listens: what its port has said last, and waiting for it to answer again. */
import type { FlowContext } from "./flow-context.ts";

const FIRST_PROBE_MS = 50;
const MAX_PROBE_MS = 1_000;
/** An agent that has not answered by then is not waited for here any longer where another instance can do the work. */
export const PRESENCE_PATIENCE_MS = 10_000;

export class AgentPresence {
  #refusing = false;

  /** False from a refused connection until the agent answers again: such an instance takes no work over. */
  get listening(): boolean {
    return !this.#refusing;
  }

  /** Asks for the card until the agent answers; false when it has not within `patienceMs`. */
  async untilListening(context: FlowContext, patienceMs: number): Promise<boolean> {
    const startedMs = context.clock.monotonicMs();
    for (let delayMs = FIRST_PROBE_MS; ; delayMs = Math.min(delayMs * 2, MAX_PROBE_MS)) {
      const request = { method: "GET" as const, path: "/.well-known/agent-card.json", headers: {}, body: null };
      const exchange = await context.agent.exchange(request);
      if (exchange.kind === "events") exchange.events.close();
      this.#refusing = exchange.kind === "failed";
      if (!this.#refusing) return true;
      if (context.clock.monotonicMs() - startedMs + delayMs > patienceMs) return false;
      await context.clock.sleep(delayMs);
    }
  }
}
