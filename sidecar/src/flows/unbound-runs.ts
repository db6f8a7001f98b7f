/**
 * The messages at the agent here of which nothing is recorded yet. Until its first event a run has no recorder, and if its
 * agent is silent nothing but a look at the record tells whose it is by now.
 */
import type { OpenSend } from "./open-turn.ts";

export class UnboundRuns {
  readonly #runs = new Map<string, OpenSend>();

  /** Counts the message among them while `run` has not come to its end, or until it is recorded. */
  async during(turn: OpenSend, run: () => Promise<void>): Promise<void> {
    this.#runs.set(keyOf(turn), turn);
    try {
      await run();
    } finally {
      this.#runs.delete(keyOf(turn));
    }
  }

  /** Its first event is in the record: its recorder speaks for it from here on. */
  recorded(turn: OpenSend): void {
    this.#runs.delete(keyOf(turn));
  }

  all(): OpenSend[] {
    return [...this.#runs.values()];
  }
}

/** A turn may come back to this instance while its former run lingers: that is another run. */
function keyOf({ row }: OpenSend): string {
  return `${row.id}@${row.epoch}`;
}
