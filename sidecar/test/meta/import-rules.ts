/** Which folder of `src/` may import which, as data and as a check. */
import { posix } from "node:path";

/** One source file: path below `src/`, and its text. */
export interface SourceFile {
  path: string;
  text: string;
}

interface Import {
  specifier: string;
  typeOnly: boolean;
}

/**
 * Room of a file → rooms it may import from. Its own room is always allowed; `adapters/x` and `adapters/y` are two
 * rooms, so that adapters never import each other.
 */
const ALLOWED: Record<string, readonly string[]> = {
  protocol: [],
  domain: ["protocol"],
  ports: ["domain", "protocol"],
  flows: ["ports", "domain", "protocol"],
  adapters: ["ports", "domain", "protocol"],
  server: ["flows", "ports", "domain", "protocol"],
  config: [],
};

/**
 * Allowed beyond that where nothing is left of the import at run time: protocol and domain share the words for a
 * task's states, and the domain's functions are described in terms of what a port hands them.
 */
const ALLOWED_AS_TYPE: Record<string, readonly string[]> = {
  protocol: ["domain"],
  domain: ["ports"],
};

/** The generated database client belongs to this adapter. */
const CLIENT_OWNER = "adapters/postgres";

/** Packages the pure rooms may use: they compute, and do nothing else. */
const PURE_PACKAGES = ["@durable-agent/crds/contract", "canonicalize", "eventsource-parser", "node:buffer"];
const PURE_ROOMS = ["protocol", "domain"];

/** Time, chance and the outside world, as globals. */
const IMPURE_GLOBALS =
  /\b(process\.|Date\.now|new Date\(\)|Math\.random|performance\.|setTimeout|setInterval|setImmediate|crypto\.|fetch\(|console\.)/;

const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:[^;"']*?\sfrom\s+)?["']([^"']+)["']/gm;
const DYNAMIC = /\bimport\(\s*["']([^"']+)["']\s*\)/g;

/** Every violation as a sentence; empty when the files keep the rules. */
export function findViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => [...importViolations(file), ...purityViolations(file)]);
}

function importViolations(file: SourceFile): string[] {
  const from = roomOf(file.path);
  if (from === "main" || from === "generated") return [];
  const violations: string[] = [];
  for (const { specifier, typeOnly } of importsOf(file.text)) {
    if (!specifier.startsWith(".")) {
      const pure = PURE_ROOMS.includes(from);
      if (pure && !PURE_PACKAGES.includes(specifier))
        violations.push(`${file.path}: ${from} stays pure, no ${specifier}`);
      continue;
    }
    const target = posix.join(posix.dirname(file.path), specifier);
    const to = roomOf(target);
    if (!mayImport(from, to, typeOnly)) violations.push(`${file.path}: ${from} must not import ${to} (${target})`);
  }
  return violations;
}

function mayImport(from: string, to: string, typeOnly: boolean): boolean {
  if (from === to) return true;
  if (from === CLIENT_OWNER && to === "generated") return true;
  const kind = from.split("/")[0] as string;
  if (ALLOWED[kind]?.includes(to) === true) return true;
  return typeOnly && ALLOWED_AS_TYPE[kind]?.includes(to) === true;
}

function purityViolations(file: SourceFile): string[] {
  const code = file.text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const violations: string[] = [];
  const room = roomOf(file.path);
  const impure = PURE_ROOMS.includes(room) ? IMPURE_GLOBALS.exec(code) : null;
  if (impure !== null) violations.push(`${file.path}: ${room} stays pure, no ${impure[1]}`);
  if (room !== "main" && room !== "generated" && /\bprocess\.env\b/.test(code)) {
    violations.push(`${file.path}: only the programs read process.env`);
  }
  return violations;
}

/** Programs (`main`, `cli-main`, `migrate-main`) sit at the top with the configuration; everything else is in a room. */
function roomOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  if (first === "adapters") return `adapters/${second}`;
  if (path.includes("/")) return first;
  return /^(config|cli\.)/.test(first) ? "config" : "main";
}

function importsOf(text: string): Import[] {
  const found: Import[] = [];
  for (const match of text.matchAll(STATEMENT))
    found.push({ specifier: match[2] as string, typeOnly: match[1] !== undefined });
  for (const match of text.matchAll(DYNAMIC)) found.push({ specifier: match[1] as string, typeOnly: false });
  return found;
}
