import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate } from "node:zlib";

/**
 * A body read into memory. `text` is null when it cannot be inspected (an encoding we do not know, bytes that do not
 * decode, no UTF-8): the agent judges such a body.
 */
export type ReadBody = { kind: "read"; raw: Buffer; text: string | null } | { kind: "too-large" } | { kind: "aborted" };

const JSON_TYPE = /^\s*application\/(?:[^;\s]+\+)?json\s*(?:;|$)/i;

/** `application/json`, `application/a2a+json` and other `+json` types. */
export function isJsonType(contentType: string | undefined): boolean {
  return contentType !== undefined && JSON_TYPE.test(contentType);
}

/** Reads and decodes; the bound holds for the bytes on the wire and for the decoded ones. Never rejects. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<ReadBody> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return { kind: "too-large" };
  const raw = await collect(request, maxBytes);
  if (!Buffer.isBuffer(raw)) return { kind: raw };
  const encoding = String(request.headers["content-encoding"] ?? "identity")
    .trim()
    .toLowerCase();
  if (encoding === "identity" || encoding === "") return { kind: "read", raw, text: textOf(raw) };
  const decode = decoders[encoding];
  if (decode === undefined) return { kind: "read", raw, text: null };
  try {
    return { kind: "read", raw, text: textOf(await decode(raw, { maxOutputLength: maxBytes })) };
  } catch (error) {
    const tooLarge = error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    return tooLarge ? { kind: "too-large" } : { kind: "read", raw, text: null };
  }
}

type Decode = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;
const decoders: Record<string, Decode | undefined> = {
  gzip: promisify(gunzip) as Decode,
  "x-gzip": promisify(gunzip) as Decode,
  deflate: promisify(inflate) as Decode,
  br: promisify(brotliDecompress) as Decode,
};

function textOf(bytes: Buffer): string | null {
  return isUtf8(bytes) ? bytes.toString("utf8") : null;
}

function collect(request: IncomingMessage, maxBytes: number): Promise<Buffer | "too-large" | "aborted"> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (outcome: Buffer | "too-large" | "aborted"): void => {
      request.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onClose);
      resolve(outcome);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= maxBytes) return;
      request.pause();
      settle("too-large");
    };
    const onEnd = (): void => {
      const [only] = chunks;
      settle(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks));
    };
    const onClose = (): void => settle("aborted");
    request.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onClose);
  });
}
