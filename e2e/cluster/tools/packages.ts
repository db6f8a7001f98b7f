// Gets programs of the distribution without installing them: packages are downloaded, unpacked below the cache folder
// and started through small wrappers, so the machine's own package database and services stay as they are.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SystemTool } from "./catalog.ts";

/** Result of `unpackSystemTool`; `how` is a sentence for the person at the keyboard. */
export type UnpackResult = { readonly kind: "unpacked" } | { readonly kind: "unavailable"; readonly how: string };

/** Library folder of an unpacked package, e.g. usr/lib/x86_64-linux-gnu; the package's root when it has none. */
function libraryFolder(root: string): string {
  const libraries = join(root, "usr", "lib");
  if (!existsSync(libraries)) return root;
  const triplet = readdirSync(libraries).find((name) => name.endsWith("-linux-gnu"));
  return triplet === undefined ? libraries : join(libraries, triplet);
}

/** Where a program of an unpacked package is; releases differ in the folder. */
function programFile(root: string, file: string): string {
  const folders = ["usr/sbin", "usr/bin", "sbin", "bin"];
  const found = folders.map((folder) => join(root, folder, file)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`no ${file} in ${root}`);
  return found;
}

/** A shell script that starts a program of an unpacked package with that package's own libraries. */
function wrapperScript(root: string, program: readonly string[]): string {
  const [file = "", ...args] = program;
  const libraries = libraryFolder(root);
  return [
    "#!/bin/sh",
    `export LD_LIBRARY_PATH='${libraries}' XTABLES_LIBDIR='${join(libraries, "xtables")}'`,
    `exec '${programFile(root, file)}' ${args.join(" ")} "$@"`,
    "",
  ].join("\n");
}

/** Downloads and unpacks `tool`'s packages below `cache` and writes its programs into `cache`/bin. Needs apt and dpkg. */
export function unpackSystemTool(tool: SystemTool, cache: string): UnpackResult {
  const downloads = mkdtempSync(join(tmpdir(), "cluster-packages-"));
  const root = join(cache, "packages", tool.name);
  try {
    execFileSync("apt-get", ["download", ...tool.packages], { cwd: downloads, stdio: ["ignore", "ignore", "pipe"] });
    rmSync(root, { recursive: true, force: true });
    mkdirSync(root, { recursive: true });
    mkdirSync(join(cache, "bin"), { recursive: true });
    for (const file of readdirSync(downloads)) execFileSync("dpkg", ["-x", join(downloads, file), root]);
  } catch {
    return {
      kind: "unavailable",
      how: `install it with the system's package manager (Debian: apt-get install ${tool.packages[0]}), then run this again`,
    };
  } finally {
    rmSync(downloads, { recursive: true, force: true });
  }
  for (const [name, program] of Object.entries(tool.programs)) {
    const target = join(cache, "bin", name);
    rmSync(target, { force: true });
    // Without packages of libraries the program runs as it is, and can be copied into an image.
    if (tool.packages.length === 1) symlinkSync(programFile(root, program[0]), target);
    else writeFileSync(target, wrapperScript(root, program), { mode: 0o755 });
  }
  return { kind: "unpacked" };
}
