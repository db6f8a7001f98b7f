/** Runs that broke a promise once, played again by every `make test`. What a seed means changes with the plan's dice. */
import type { AgentKind } from "../support/replica.ts";

export interface KnownSeed {
  agent: AgentKind;
  seed: number;
  /** What it found. */
  broke: string;
}

export const KNOWN_SEEDS: readonly KnownSeed[] = [
  { agent: "js-1", seed: 3, broke: "a pod died while the database's clock was ahead, and nobody took its work over" },
];
