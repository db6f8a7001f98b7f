import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { findViolations, type SourceFile } from "./import-rules.ts";

const SRC = fileURLToPath(new URL("../../src/", import.meta.url));

function sourceFiles(): SourceFile[] {
  return readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts") && !path.startsWith("generated"))
    .map((path) => ({ path, text: readFileSync(`${SRC}${path}`, "utf8") }));
}

describe("import boundaries", () => {
  test("hold in the whole source", () => {
    const files = sourceFiles();
    expect(files.length).toBeGreaterThan(50);
    expect(findViolations(files)).toEqual([]);
  });

  const caught: [string, string, string, string][] = [
    [
      "a flow that reaches into an adapter",
      "flows/a.ts",
      'import { x } from "../adapters/nats/x.ts";',
      "adapters/nats",
    ],
    ["an import over several lines", "flows/a.ts", 'import {\n  x,\n  y,\n} from "../server/x.ts";', "server"],
    ["a re-export", "ports/a.ts", 'export { x } from "../flows/x.ts";', "flows"],
    ["an import for its effect", "domain/a.ts", 'import "../flows/x.ts";', "flows"],
    ["a dynamic import", "server/a.ts", 'const x = await import("../adapters/nats/x.ts");', "adapters/nats"],
    [
      "an adapter that knows another",
      "adapters/nats/a.ts",
      'import { x } from "../postgres/x.ts";',
      "adapters/postgres",
    ],
    ["a type from an outer room", "ports/a.ts", 'import type { X } from "../flows/x.ts";', "flows"],
    ["a domain function in the protocol", "protocol/a.ts", 'import { x } from "../domain/x.ts";', "domain"],
    ["the database client elsewhere", "flows/a.ts", 'import type { X } from "../generated/x.ts";', "generated"],
    ["a port's value in the domain", "domain/a.ts", 'import { x } from "../ports/x.ts";', "ports"],
    ["Node's own modules in the protocol", "protocol/a.ts", 'import { x } from "node:fs";', "node:fs"],
    ["the clock in the domain", "domain/a.ts", "export const at = () => Date.now();", "Date.now"],
    ["a mixed import of a type and a value", "domain/a.ts", 'import { type X, y } from "../ports/x.ts";', "ports"],
    ["the environment in a flow", "flows/a.ts", "export const x = process.env.X;", "process.env"],
    ["the configuration in a flow", "flows/a.ts", 'import { loadConfig } from "../config.ts";', "config"],
  ];
  test.each(caught)("catch %s", (_name, path, text, word) => {
    const violations = findViolations([{ path, text }]);
    expect(violations).toHaveLength(1);
    expect(violations[0]).toContain(word);
  });

  const allowed: [string, string, string][] = [
    ["a program that imports everything", "main.ts", 'import { x } from "./adapters/nats/x.ts";\nprocess.env;'],
    ["a flow and its port", "flows/a.ts", 'import { x } from "../ports/x.ts";\nimport { y } from "./y.ts";'],
    ["a port's type in the domain", "domain/a.ts", 'import type { X } from "../ports/x.ts";'],
    ["the words for a task's states", "protocol/a.ts", 'import type { X } from "../domain/x.ts";'],
    ["the words of the contract anywhere", "protocol/a.ts", 'import { ENV } from "@durable-agent/crds/contract";'],
    ["a comment that names the clock", "domain/a.ts", "/** Not Date.now. */\n// process.env\nexport const x = 1;"],
  ];
  test.each(allowed)("allow %s", (_name, path, text) => {
    expect(findViolations([{ path, text }])).toEqual([]);
  });
});
