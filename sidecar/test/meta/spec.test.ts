/** SPEC.md says what holds and what enforces it; this holds SPEC.md to its word. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { leaseTransitions } from "../../src/domain/instance-lease.ts";
import { turnTransitions } from "../../src/domain/turn-states.ts";
import { assumptionIds, findFaults, readRules, rulesCited, tableOf } from "./spec-rules.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const spec = readFileSync(`${ROOT}sidecar/SPEC.md`, "utf8");
const rules = readRules(spec);
const readFile = (path: string): string | null =>
  existsSync(`${ROOT}${path}`) ? readFileSync(`${ROOT}${path}`, "utf8") : null;

/** Every test of the sidecar and of the scenarios, by path from the root. */
function testFiles(): string[] {
  return ["sidecar/src", "sidecar/test", "e2e/scenarios"].flatMap((folder) =>
    readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: "utf8" })
      .filter((path) => /\.(test|contract)\.ts$/.test(path))
      .map((path) => `${folder}/${path}`),
  );
}

describe("SPEC.md", () => {
  test("has every promise and every invariant", () => {
    const expected = [...numbered("P", 12), ...numbered("I", 10)];
    expect(rules.map((rule) => rule.id)).toEqual(expect.arrayContaining(expected));
  });

  test("names for every rule what enforces it, and nothing that does not exist", () => {
    expect(rules.length).toBeGreaterThan(60);
    expect(findFaults(rules, readFile, assumptionIds(spec))).toEqual([]);
  });

  test("knows every promise and invariant that a test cites", () => {
    const known = new Set(rules.map((rule) => rule.id));
    const unknown = testFiles().flatMap((path) =>
      rulesCited(readFile(path) ?? "").flatMap((id) => (known.has(id) ? [] : [`${path}: ${id}`])),
    );
    expect(unknown).toEqual([]);
  });

  test.each([
    ["turns", turnTransitions],
    ["an instance's own lease", leaseTransitions],
  ])("has the table of the states of %s", (_name, transitions) => {
    expect(spec).toContain(tableOf(transitions));
  });
});

describe("the check itself", () => {
  const file = 'test("what it does", () => {});';
  const judge = (text: string) => findFaults(readRules(text), (path) => (path === "a.test.ts" ? file : null));
  const rows: [string, string, string[]][] = [
    ["a rule with its test", '- **A1** It does.\n  *Enforced by* `a.test.ts` › "what it does".', []],
    ["a title over two lines", '- **A1** It does.\n  *Enforced by* `a.test.ts` › "what\n  it does".', []],
    ["a rule without", "- **A1** It does.\n\nProse.", ["A1: nothing enforces it"]],
    ["another title", '- **A1** It.\n  *Enforced by* `a.test.ts` › "what it"', ['A1: a.test.ts has no "what it"']],
    ["another file", '- **A1** It.\n  *Enforced by* `b.ts` › "what it does"', ["A1: b.ts does not exist"]],
    [
      "an id twice",
      '- **A1** It.\n  *Enforced by* `a.test.ts` › "what it does"\n- **A1** It.\n  *Enforced by* `a.test.ts` › "what it does"',
      ["A1: there is another one"],
    ],
    ["a rule cited that is not there", '- **A1** As A2.\n  *Enforced by* `a.test.ts` › "what it does"', ["A1: no A2"]],
  ];
  test.each(rows)("%s", (_name, text, faults) => {
    expect(judge(text)).toEqual(faults);
  });
});

function numbered(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${letter}${index + 1}`);
}
