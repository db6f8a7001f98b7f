// Writes tar archives: ustar headers, pax records for long names, everything owned by root and dated 1970, so that equal
// contents are equal bytes and image digests mean something.

import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { once } from "node:events";
import { finished } from "node:stream/promises";

/** One member of an archive; paths are relative, without a leading slash. */
export type TarEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode?: number }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | { readonly kind: "data"; readonly path: string; readonly data: Buffer; readonly mode?: number }
  | { readonly kind: "file"; readonly path: string; readonly source: string; readonly mode?: number };

/** Digest ("sha256:…") and length of what was written. */
export interface WrittenTar {
  readonly digest: string;
  readonly size: number;
}

const blockSize = 512;
const typeFlags = { data: "0", file: "0", link: "2", directory: "5", pax: "x" } as const;

interface Header {
  readonly path: string;
  readonly mode: number;
  readonly size: number;
  readonly type: keyof typeof typeFlags;
  readonly target: string;
}

/** The 512 bytes that announce a member; names longer than their fields must have been given by a pax member before. */
function encodeHeader(header: Header): Buffer {
  const block = Buffer.alloc(blockSize);
  const octal = (value: number, width: number): string => value.toString(8).padStart(width - 1, "0");
  block.write(header.path.slice(0, 100), 0, "utf8");
  block.write(octal(header.mode, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(header.size, 12), 124);
  block.write(octal(0, 12), 136);
  block.write("        ", 148);
  block.write(typeFlags[header.type], 156);
  block.write(header.target.slice(0, 100), 157, "utf8");
  block.write("ustar\u000000", 257);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${octal(sum, 7)}\0 `, 148);
  return block;
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function padding(size: number): Buffer {
  return Buffer.alloc((blockSize - (size % blockSize)) % blockSize);
}

/** Headers of one member: a pax member first where a name is too long for the plain header. */
function headersOf(entry: TarEntry, size: number): readonly Buffer[] {
  const target = entry.kind === "link" ? entry.target : "";
  const mode = entry.kind === "link" ? 0o777 : (entry.mode ?? (entry.kind === "directory" ? 0o755 : 0o644));
  const path = entry.kind === "directory" ? `${entry.path}/` : entry.path;
  const header = encodeHeader({ path, mode, size, type: entry.kind, target });
  if (Buffer.byteLength(path) <= 100 && Buffer.byteLength(target) <= 100) return [header];
  const records = Buffer.from(paxRecord("path", path) + (target === "" ? "" : paxRecord("linkpath", target)));
  const pax = encodeHeader({ path: "pax", mode: 0o644, size: records.length, type: "pax", target: "" });
  return [pax, records, padding(records.length), header];
}

/** Writes `entries` in the given order to `file`. */
export async function writeTar(file: string, entries: readonly TarEntry[]): Promise<WrittenTar> {
  const hash = createHash("sha256");
  const output = createWriteStream(file);
  let size = 0;
  const put = async (bytes: Buffer): Promise<void> => {
    hash.update(bytes);
    size += bytes.length;
    if (!output.write(bytes)) await once(output, "drain");
  };
  for (const entry of entries) {
    const length = entry.kind === "file" ? statSync(entry.source).size : entry.kind === "data" ? entry.data.length : 0;
    for (const header of headersOf(entry, length)) await put(header);
    if (entry.kind === "data") await put(entry.data);
    if (entry.kind === "file") {
      for await (const chunk of createReadStream(entry.source, { highWaterMark: 1 << 20 })) await put(chunk as Buffer);
    }
    await put(padding(length));
  }
  // Two empty blocks end an archive.
  await put(Buffer.alloc(2 * blockSize));
  output.end();
  await finished(output);
  return { digest: `sha256:${hash.digest("hex")}`, size };
}
