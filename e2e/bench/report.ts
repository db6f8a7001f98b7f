/** The table at the end of a run. */

/** One line: what was measured, what it is held against, and whether it keeps the bar. */
export interface Row {
  what: string;
  /** The alternative, or the least it can cost, measured in the same run. */
  beside: string;
  ours: string;
  /** Ours by the other; null where there is none. */
  ratio: number | null;
  bar: string;
  /** Null = no bar. */
  kept: boolean | null;
}

const HEAD = ["what", "direct / floor", "ours", "ratio", "bar", ""];

/** Columns under each other, as Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    row.beside,
    row.ours,
    row.ratio === null ? "–" : row.ratio.toFixed(2),
    row.bar,
    row.kept === null ? "" : row.kept ? "kept" : "MISSED",
  ]);
  const widths = HEAD.map((head, n) => Math.max(head.length, ...cells.map((line) => line[n]?.length ?? 0)));
  const lineOf = (line: readonly string[]) => `| ${line.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(" | ")} |`;
  return [lineOf(HEAD), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...cells.map(lineOf)].join("\n");
}

/** Milliseconds as text. */
export function ms(value: number): string {
  return `${value.toFixed(value < 100 ? 2 : 0)} ms`;
}

/** Megabytes as text, from kilobytes. */
export function mb(kilobytes: number): string {
  return `${(kilobytes / 1024).toFixed(1)} MB`;
}
