/**
 * Whether the local agent listens: what its port has said last, and waiting for it to answer again. Only asked where a run
 * was lost already: an agent that is paused keeps those it still holds.
 */
import type { FlowContext } from "./flow-context.ts";

const FIRST_PROBE_MS = 50;
const MAX_PROBE_MS = 1_000;
/** An agent that has accepted a look at its card and not answered by then does not answer for now. */
const ANSWER_MS = 3_000;
/** An agent that has not answered by then is not waited for here any longer where another instance can do the work. */
export const PRESENCE_PATIENCE_MS = 10_000;

export class AgentPresence {
  #last: "answers" | "away" | "silent" = "answers";
  #asking = false;

  /** False from a look that failed until the agent answers again: such an instance takes no work over. */
  get listening(): boolean {
    return this.#last === "answers";
  }

  /** Its port accepts and nothing comes: the process is there, paused or stuck. */
  get silent(): boolean {
    return this.#last === "silent";
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
    while (!this.listening && !lifetime.exiting.aborted) {
      await clock.sleep(MAX_PROBE_MS, lifetime.exiting);
      await this.#ask(context);
    }
    this.#asking = false;
  }

  async #ask(context: FlowContext): Promise<boolean> {
    const request = { method: "GET" as const, path: "/.well-known/agent-card.json", headers: {}, body: null };
    const timer = new AbortController();
    const late = new AbortController();
    void context.clock.sleep(ANSWER_MS, timer.signal).then(() => timer.signal.aborted || late.abort());
    const exchange = await context.agent.exchange(request, { signal: late.signal });
    timer.abort();
    if (exchange.kind === "events") exchange.events.close();
    const failed = exchange.kind === "failed";
    if (failed) this.#last = late.signal.aborted ? "silent" : "away";
    else this.#last = "answers";
    return !failed;
  }
}
