import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

/** What each room may import besides itself; main.ts and program/ put everything together. */
const rooms: Record<string, string[]> = {
  reasons: [],
  kubernetes: ["reasons"],
  injection: ["kubernetes", "reasons"],
  reconcile: ["kubernetes", "reasons"],
  certificates: [],
  config: ["injection"],
  ports: ["kubernetes", "reconcile", "certificates"],
  controllers: ["kubernetes", "reconcile", "certificates", "ports"],
  server: ["kubernetes", "injection", "reconcile", "ports"],
  "adapters/kubernetes": ["kubernetes", "reconcile", "ports"],
  "adapters/tls": ["kubernetes", "certificates", "ports"],
  "adapters/postgres": ["ports"],
  "adapters/nats": ["ports"],
};
const pureRooms = ["reasons", "kubernetes", "injection", "reconcile"];
const impure =
  /\b(process\.env|Date\.now|new Date\(\)|Math\.random|performance\.|setTimeout|setInterval|fetch\()|node:(fs|net|http|https|child_process|os)\b/;
const statement = /^(?:import|export)\s+(?:type\s+)?(?:[^;"']*?\sfrom\s+)?["']([^"']+)["']/gm;

const sourceDirectory = fileURLToPath(new URL("../src/", import.meta.url));
const files = readdirSync(sourceDirectory, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
  .map((path) => ({ path, text: readFileSync(join(sourceDirectory, path), "utf8") }));

function roomOf(path: string): string {
  const parts = path.split("/");
  if (parts.length === 1) return (parts[0] ?? "").replace(/\.ts$/, "");
  return parts[0] === "adapters" ? parts.slice(0, 2).join("/") : (parts[0] ?? "");
}

function findViolations(all: { path: string; text: string }[]): string[] {
  return all.flatMap(({ path, text }) => {
    const room = roomOf(path);
    if (room === "main" || room === "program") return [];
    const imports = [...text.matchAll(statement)].flatMap(([, specifier = ""]) =>
      specifier.startsWith(".") ? [specifier] : [],
    );
    const forbidden = imports
      .map((specifier) => roomOf(normalize(join(dirname(path), specifier))))
      .filter((target) => target !== room && !(rooms[room] ?? []).includes(target))
      .map((target) => `${path} imports ${target}`);
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    const touched = pureRooms.includes(room) ? impure.exec(code) : null;
    return touched === null ? forbidden : [...forbidden, `${path} uses ${touched[0]}`];
  });
}

describe("import boundaries", () => {
  test("every file lives in a known room", () => {
    expect(files.length).toBeGreaterThan(40);
    expect(
      files.map(({ path }) => roomOf(path)).filter((room) => room !== "main" && room !== "program" && !(room in rooms)),
    ).toEqual([]);
  });
  test("hold in the whole source", () => {
    expect(findViolations(files)).toEqual([]);
  });
  test.each([
    ["a controller that reaches into an adapter", "controllers/a.ts", 'import { x } from "../adapters/nats/x.ts";'],
    ["a pure room that knows another", "injection/a.ts", 'import type { X } from "../reconcile/x.ts";'],
    ["an adapter that knows another", "adapters/nats/a.ts", 'import { x } from "../postgres/x.ts";'],
    ["the clock in the plan", "reconcile/a.ts", "export const now = () => new Date();"],
  ])("catch %s", (_title, path, text) => {
    expect(findViolations([{ path, text }])).toHaveLength(1);
  });
});
