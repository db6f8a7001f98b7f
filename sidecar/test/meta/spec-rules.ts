/** Reads the rules of SPEC.md, and finds what is wrong with them. */

/** A rule is a list item that begins with its id in bold; it ends where the next item, heading or paragraph begins. */
export interface Rule {
  id: string;
  /** On one line, with what enforces it. */
  text: string;
  enforcedBy: { path: string; title: string }[];
}

const RULE = /^- \*\*([A-Z]\d+)\*\* (.*(?:\n {2}\S.*)*)/gm;
const CITATION = /`([^`]+)` › "([^"]+)"/g;
const CITED_ID = /\b[A-Z]\d{1,2}\b/g;

const ASSUMPTION = /^\| \*\*(S\d+)\*\* \|/gm;

/** Ids of what is assumed of the environment: nothing here can enforce it. */
export function assumptionIds(markdown: string): string[] {
  return [...markdown.matchAll(ASSUMPTION)].map(([, id = ""]) => id);
}

export function readRules(markdown: string): Rule[] {
  return [...markdown.matchAll(RULE)].map(([, id = "", body = ""]) => {
    const text = body.replace(/\s*\n\s*/g, " ");
    const [, enforcement = ""] = text.split("*Enforced by*");
    const enforcedBy = [...enforcement.matchAll(CITATION)].map(([, path = "", title = ""]) => ({ path, title }));
    return { id, text, enforcedBy };
  });
}

/** Every fault as a sentence. `readFile` gives null for a file that does not exist; paths are from the root. */
export function findFaults(
  rules: readonly Rule[],
  readFile: (path: string) => string | null,
  assumed: readonly string[] = [],
): string[] {
  const ids = new Set([...assumed, ...rules.map((rule) => rule.id)]);
  const seen = new Set<string>();
  return rules.flatMap((rule) => {
    const faults = rule.enforcedBy.flatMap((enforcer) => citationFaults(enforcer, readFile));
    if (rule.enforcedBy.length === 0) faults.push("nothing enforces it");
    if (seen.has(rule.id)) faults.push("there is another one");
    seen.add(rule.id);
    const [statement = ""] = rule.text.split("*Enforced by*");
    for (const [id] of statement.matchAll(CITED_ID)) if (!ids.has(id)) faults.push(`no ${id}`);
    return faults.map((fault) => `${rule.id}: ${fault}`);
  });
}

/** A title has to stand in its file as a whole string; a constraint of the database as a whole word. */
function citationFaults(
  { path, title }: { path: string; title: string },
  readFile: (path: string) => string | null,
): string[] {
  const text = readFile(path);
  if (text === null) return [`${path} does not exist`];
  const literals = path.endsWith(".sql") ? [` ${title} `] : [`"${title}"`, `'${title}'`, `\`${title}\``];
  return literals.some((literal) => text.includes(literal)) ? [] : [`${path} has no "${title}"`];
}

/** The promises and invariants with which strings of a test file begin: `"I2: a deposed turn stores nothing"`. */
export function rulesCited(source: string): string[] {
  const titles = source.matchAll(/["'`]((?:[PI]\d{1,2}(?:, | and | )?)+):? /g);
  return [...titles].flatMap(([, ids = ""]) => ids.match(/[PI]\d{1,2}/g) ?? []);
}

/** A transition table as SPEC.md shows it: a line per state, a column per step. */
export function tableOf(transitions: Record<string, Record<string, unknown>>): string {
  const steps = Object.keys(Object.values(transitions)[0] ?? {});
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const rows = Object.entries(transitions).map(([state, row]) =>
    line([`**${state}**`, ...steps.map((step) => cellOf(row[step]))]),
  );
  return [line(["", ...steps]), `|${"---|".repeat(steps.length + 1)}`, ...rows].join("\n");
}

function cellOf(outcome: unknown): string {
  if (typeof outcome === "string") return outcome === "refused" ? "–" : outcome;
  const { next, action } = outcome as { next: string; action: string | null };
  return action === null ? next : `${next}, ${action}`;
}
