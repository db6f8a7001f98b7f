/**
 * When a task's snapshot is written: at the end of a turn, and when the events since the last one outgrow it. So n events
 * cost O(n) bytes, and a reader never folds much more than it gets.
 */
export class SnapshotPolicy {
  #snapshotChars: number;
  #tailChars: number;

  /** Characters of the last snapshot, and of the payloads recorded since. */
  constructor(snapshotChars: number, tailChars: number) {
    this.#snapshotChars = snapshotChars;
    this.#tailChars = tailChars;
  }

  /** Takes in what is about to be recorded; whether a snapshot goes with it. */
  isDue(recorded: readonly { payload: string }[], ending: boolean): boolean {
    for (const event of recorded) this.#tailChars += event.payload.length;
    if (this.#tailChars === 0) return false;
    return ending || this.#tailChars > Math.max(this.#snapshotChars, MIN_TAIL_CHARS);
  }

  /** A snapshot of this size goes into the record. */
  taken(chars: number): void {
    this.#snapshotChars = chars;
    this.#tailChars = 0;
  }
}

/** Below this a snapshot saves a reader nothing. */
const MIN_TAIL_CHARS = 4096;
