/** What the agent's card says about how it wants to be spoken to; read when first needed and again when it is old. */
import type { Agent } from "../ports/agent.ts";
import type { Clock } from "../ports/clock.ts";
import { cardSpeaks } from "../protocol/card.ts";

export interface AgentTraits {
  /** Null when the card does not say. */
  streaming: boolean | null;
  pushNotifications: boolean | null;
  /** A 0.3 agent by nature, not a 1.0 agent that also answers 0.3 calls. */
  native03: boolean;
  /** Such an agent on Python's SDK: whoever subscribes there makes it write every event into its own Task once more. */
  python03: boolean;
}

const MAX_AGE_MS = 60_000;
const RETRY_AGE_MS = 2_000;
const UNKNOWN: AgentTraits = { streaming: null, pushNotifications: null, native03: true, python03: false };

export class AgentProfile {
  readonly #agent: Agent;
  readonly #clock: Clock;
  #traits = UNKNOWN;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #maxAgeMs = 0;
  #reading: Promise<void> | null = null;
  #answered = false;

  constructor(agent: Agent, clock: Clock) {
    this.#agent = agent;
    this.#clock = clock;
  }

  /** Whether the agent has answered any request since this process started. */
  get answered(): boolean {
    return this.#answered;
  }

  /** Asks for the card unless it is known. */
  async probe(): Promise<void> {
    if (!this.#answered) await this.#read();
  }

  async traits(): Promise<AgentTraits> {
    if (this.#clock.monotonicMs() - this.#readAtMs >= this.#maxAgeMs) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = null;
      });
      // An old answer serves while it is refreshed; only the very first reader waits.
      if (this.#readAtMs === Number.NEGATIVE_INFINITY) await this.#reading;
    }
    return this.#traits;
  }

  async #read(): Promise<void> {
    for (const path of ["/.well-known/agent-card.json", "/.well-known/agent.json"]) {
      const exchange = await this.#agent.exchange({
        method: "GET",
        path,
        headers: { accept: "application/json" },
        body: null,
      });
      if (exchange.kind === "events") exchange.events.close();
      if (exchange.kind === "failed") break;
      this.#answered = true;
      if (exchange.kind !== "reply" || exchange.reply.status !== 200) continue;
      const traits = cardSpeaks(exchange.reply.body);
      if (!traits) continue;
      this.#traits = traits;
      this.#readAtMs = this.#clock.monotonicMs();
      this.#maxAgeMs = MAX_AGE_MS;
      return;
    }
    this.#readAtMs = this.#clock.monotonicMs();
    this.#maxAgeMs = RETRY_AGE_MS;
  }
}
