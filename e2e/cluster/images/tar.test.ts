import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import { type TarEntry, writeTar } from "./tar.ts";

const folder = mkdtempSync(join(tmpdir(), "tar-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const longName = `${"deep/".repeat(40)}file`;
const source = join(folder, "source");
writeFileSync(source, Buffer.alloc(3_000_001, "x"));
const entries: readonly TarEntry[] = [
  { kind: "directory", path: "tmp", mode: 0o1777 },
  { kind: "data", path: "etc/passwd", data: Buffer.from("root:x:0:0\n") },
  { kind: "data", path: "empty", data: Buffer.alloc(0) },
  { kind: "data", path: longName, data: Buffer.from("deep") },
  { kind: "data", path: "ümlaut", data: Buffer.from("bytes") },
  { kind: "link", path: "bin/sh", target: "busybox" },
  { kind: "link", path: "bin/far", target: `/${longName}` },
  { kind: "file", path: "usr/big", source, mode: 0o755 },
];

describe("writeTar", () => {
  it("writes what tar reads, with names of any length, and reports its digest and size", async () => {
    const file = join(folder, "a.tar");
    const written = await writeTar(file, entries);
    const bytes = readFileSync(file);
    expect(written).toEqual({
      digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`,
      size: bytes.length,
    });
    const listing = execFileSync("tar", ["--numeric-owner", "-tvf", file], { encoding: "utf8" }).trim().split("\n");
    const fields = listing.map((line) => line.split(/\s+/));
    expect(fields.map(([mode, owner, size]) => [mode, owner, size])).toEqual([
      ["drwxrwxrwt", "0/0", "0"],
      ["-rw-r--r--", "0/0", "11"],
      ["-rw-r--r--", "0/0", "0"],
      ["-rw-r--r--", "0/0", "4"],
      ["-rw-r--r--", "0/0", "5"],
      ["lrwxrwxrwx", "0/0", "0"],
      ["lrwxrwxrwx", "0/0", "0"],
      ["-rwxr-xr-x", "0/0", "3000001"],
    ]);
    const target = mkdtempSync(join(folder, "out-"));
    execFileSync("tar", ["-C", target, "-xf", file]);
    expect(readFileSync(join(target, longName), "utf8")).toBe("deep");
    expect(readFileSync(join(target, "ümlaut"), "utf8")).toBe("bytes");
    expect(readFileSync(join(target, "usr/big")).equals(readFileSync(source))).toBe(true);
  });

  it("writes equal bytes for equal contents", async () => {
    const first = await writeTar(join(folder, "b.tar"), entries);
    expect(await writeTar(join(folder, "c.tar"), entries)).toEqual(first);
  });
});
