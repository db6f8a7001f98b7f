/** Reads what a message asks the raw agent to do: a command, its numbers, and knobs anywhere in the text. */
import type { Framing } from "./sse-writer.ts";
import type { Oddities } from "./wording.ts";

export interface Script {
  command: string;
  /** The first number of the text. */
  amount: number;
  everyMs: number;
  framing: Framing;
  oddities: Oddities;
  /** No Task event at the start of a stream, as Python 0.3. */
  statusFirst: boolean;
}

export function readScript(text: string): Script {
  const words = text.trim().split(/\s+/);
  const has = (word: string) => words.includes(word);
  const every = words.indexOf("every");
  const amount = words.find((word, at) => /^\d+$/.test(word) && at > 0);
  return {
    command: words[0] ?? "",
    amount: amount === undefined ? 5 : Number(amount),
    everyMs: every < 0 ? 5 : Number.parseInt(words[every + 1] ?? "5", 10),
    framing: {
      lineEnd: has("crlf") ? "\r\n" : has("cr") ? "\r" : "\n",
      id: has("go-ids") ? "before" : has("java-ids") ? "after" : "none",
      comments: has("comments"),
      multiline: has("multiline"),
      split: has("split"),
    },
    oddities: { odd: has("odd"), big: has("big") },
    statusFirst: has("status-first"),
  };
}
