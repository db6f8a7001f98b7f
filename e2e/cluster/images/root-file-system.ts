// Parts of root file systems, taken from this machine: programs with the libraries they are linked to.

import { execFileSync } from "node:child_process";
import { readdirSync, realpathSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { TarEntry } from "./tar.ts";

/** User and group of everything in test images that does not say otherwise. */
export const ordinaryUser = "1000:1000";

function inImage(path: string): string {
  return path.replace(/^\/+/, "");
}

/** Paths of the shared libraries (and of the loader) of a program; none for a static one. */
function librariesOf(program: string): readonly string[] {
  try {
    const listed = execFileSync("ldd", [program], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return [...listed.matchAll(/(?:=>\s+|^\s+)(\/\S+)\s+\(0x/gm)].flatMap((match) => match[1] ?? []);
  } catch {
    // ldd fails for a program that is not dynamically linked.
    return [];
  }
}

/** `programs` (path in the image → path here) with all their libraries, each library once and at its own path. */
export function programEntries(programs: Readonly<Record<string, string>>): readonly TarEntry[] {
  const sources = new Map<string, string>();
  for (const [target, source] of Object.entries(programs)) {
    sources.set(inImage(target), realpathSync(source));
    for (const library of librariesOf(realpathSync(source))) sources.set(inImage(library), realpathSync(library));
  }
  return [...sources]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([path, source]) => ({ kind: "file", path, source, mode: 0o755 }));
}

/** Everything below `folder`, at `target` in the image. */
export function folderEntries(folder: string, target: string): readonly TarEntry[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).isFile())
    .toSorted()
    .map((source) => {
      const path = inImage(join(target, relative(folder, source)));
      return { kind: "file", path, source, mode: statSync(source).mode & 0o777 };
    });
}

/** Accounts, a place for temporary files, name resolution: what programs expect of any system. */
export function baseEntries(): readonly TarEntry[] {
  // A database server asks who it is; 70 is the user that the chart runs its own with.
  const accounts =
    "root:x:0:0:root:/:/bin/sh\nagent:x:1000:1000:agent:/tmp:/bin/sh\npostgres:x:70:70:postgres:/tmp:/bin/sh\n";
  return [
    { kind: "directory", path: "tmp", mode: 0o1777 },
    { kind: "data", path: "etc/passwd", data: Buffer.from(accounts) },
    { kind: "data", path: "etc/group", data: Buffer.from("root:x:0:\nagent:x:1000:\npostgres:x:70:\n") },
    { kind: "data", path: "etc/nsswitch.conf", data: Buffer.from("hosts: files dns\n") },
  ];
}

/** A shell and the usual small programs. `busybox` is the path of a static busybox. */
export function shellEntries(busybox: string): readonly TarEntry[] {
  const source = realpathSync(busybox);
  const applets = execFileSync(source, ["--list"], { encoding: "utf8" }).trim().split("\n");
  return [
    { kind: "file", path: "bin/busybox", source, mode: 0o755 },
    ...applets
      // The list names busybox itself; a link of that name would replace the program.
      .filter((name) => name !== "busybox")
      .map((name) => ({ kind: "link", path: `bin/${name}`, target: "busybox" }) as const),
  ];
}

/** The Node.js that runs this, as /usr/local/bin/node. */
export function nodeEntries(): readonly TarEntry[] {
  return programEntries({ "usr/local/bin/node": process.execPath });
}
