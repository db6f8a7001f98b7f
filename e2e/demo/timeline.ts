/** Prints what happens as a timeline, and keeps count of what was expected and held. */
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

/** The colour of each replica, in order; the same replica keeps its colour through the whole output. */
const REPLICA_STYLES: Style[] = ["cyan", "magenta", "yellow", "blue", "green"];

/** Wide enough for "replica-3" and "balancer". */
const WHO_WIDTH = 10;

export class Timeline {
  readonly #write: (text: string) => void;
  readonly #colours: boolean;
  readonly #startedAt = performance.now();
  readonly #styles = new Map<string, Style>();
  #held = 0;
  readonly #broken: string[] = [];

  constructor(output: { write(text: string): unknown; isTTY?: boolean }) {
    this.#write = (text) => void output.write(text);
    this.#colours = output.isTTY === true && (process.env["NO_COLOR"] ?? "") === "";
  }

  /** How many expectations held so far. */
  get held(): number {
    return this.#held;
  }

  /** The sentences of the expectations that did not hold. */
  get broken(): readonly string[] {
    return this.#broken;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  act(title: string, text: string): void {
    this.#write(`\n${this.#paint("bold", title)}\n${this.#paint("dim", text)}\n`);
  }

  scene(title: string): void {
    this.#write(`\n  ${this.#paint("bold", title)}\n`);
  }

  /** Something `who` (a replica or the client) did or said. */
  note(who: string, text: string): void {
    const seconds = `${(this.elapsedMs / 1000).toFixed(2)}s`.padStart(7);
    const name = this.#paint(this.#styleOf(who), who.padEnd(WHO_WIDTH));
    this.#write(`  ${this.#paint("dim", seconds)}  ${name} ${text}\n`);
  }

  /** A line that belongs to no moment. */
  line(text = ""): void {
    this.#write(`${text}\n`);
  }

  /** Records and prints whether the sentence is true; `found` says what was there instead when it is not. */
  expect(sentence: string, holds: boolean, found: () => string = () => ""): void {
    if (holds) {
      this.#held++;
      this.#write(`           ${this.#paint("green", "✓")} ${sentence}\n`);
      return;
    }
    this.#broken.push(sentence);
    const instead = found();
    this.#write(`           ${this.#paint("red", "✗")} ${sentence}${instead === "" ? "" : ` (found: ${instead})`}\n`);
  }

  #styleOf(who: string): Style {
    if (!who.startsWith("replica")) return "white";
    const known = this.#styles.get(who);
    if (known !== undefined) return known;
    const style = REPLICA_STYLES[this.#styles.size % REPLICA_STYLES.length] ?? "white";
    this.#styles.set(who, style);
    return style;
  }

  #paint(style: Style, text: string): string {
    return this.#colours ? styleText(style, text, { validateStream: false }) : text;
  }
}
