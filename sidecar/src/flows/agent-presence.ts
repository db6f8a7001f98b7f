/** Whether the local agent listens: what its port has said last, and waiting for it to answer again. */
import type { FlowContext } from "./flow-context.ts";

const FIRST_PROBE_MS = 50;
const MAX_PROBE_MS = 1_000;
/** An agent that has not answered by then is not waited for here any longer where another instance can do the work. */
export const PRESENCE_PATIENCE_MS = 10_000;

export class AgentPresence {
  #refusing = false;
  #asking = false;

  /** False from a refused connection until the agent answers again: such an instance takes no work over. */
  get listening(): boolean {
    return !this.#refusing;
  }

  /** Asks for the card until the agent answers; false when it has not within `patienceMs`. */
  async untilListening(context: FlowContext, patienceMs: number): Promise<boolean> {
    const startedMs = context.clock.monotonicMs();
    for (let delayMs = FIRST_PROBE_MS; ; delayMs = Math.min(delayMs * 2, MAX_PROBE_MS)) {
      if (await this.#ask(context)) return true;
      if (context.clock.monotonicMs() - startedMs + delayMs > patienceMs) {
        void this.#keepAsking(context);
        return false;
      }
      await context.clock.sleep(delayMs);
    }
  }

  /** Whoever gave up is not asking any more, and without an answer this instance would never take work again. */
  async #keepAsking(context: FlowContext): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const { clock, lifetime } = context;
    while (this.#refusing && !lifetime.exiting.aborted) {
      await clock.sleep(MAX_PROBE_MS, lifetime.exiting);
      await this.#ask(context);
    }
    this.#asking = false;
  }

  async #ask(context: FlowContext): Promise<boolean> {
    const request = { method: "GET" as const, path: "/.well-known/agent-card.json", headers: {}, body: null };
    const exchange = await context.agent.exchange(request);
    if (exchange.kind === "events") exchange.events.close();
    this.#refusing = exchange.kind === "failed";
    return !this.#refusing;
  }
}
