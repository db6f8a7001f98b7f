/** An HTTP server written byte by byte: it can stall, cut, reset and frame wrongly, which `node:http` would not. */
import { createServer, type AddressInfo, type Socket } from "node:net";

export interface RawRequest {
  /** Request line and header fields as received, one string. */
  head: string;
  /** Body bytes as received, by Content-Length or chunked (decoded). */
  body: Buffer;
}

/** Called once per request on a connection; writes whatever it likes to the socket. */
export type RawHandler = (socket: Socket, request: RawRequest) => void | Promise<void>;

export interface RawHttpServer {
  readonly url: string;
  readonly port: number;
  readonly requests: RawRequest[];
  /** Open connections. */
  readonly sockets: ReadonlySet<Socket>;
  handler: RawHandler;
  close(): Promise<void>;
}

export async function startRawHttpServer(handler: RawHandler): Promise<RawHttpServer> {
  const sockets = new Set<Socket>();
  const requests: RawRequest[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    let received: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      for (let parsed = parse(received); parsed !== null; parsed = parse(received)) {
        received = parsed.rest;
        requests.push(parsed.request);
        void self.handler(socket, parsed.request);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const self: RawHttpServer = {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    sockets,
    handler,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}

/** A whole reply with Content-Length. */
export function plainReply(body: string | Buffer, options: { status?: string; fields?: string[] } = {}): Buffer {
  const bytes = Buffer.from(body);
  const fields = [`content-length: ${bytes.length}`, ...(options.fields ?? ["content-type: application/json"])];
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${options.status ?? "200 OK"}\r\n${fields.join("\r\n")}\r\n\r\n`, "latin1"),
    bytes,
  ]);
}

export const sseHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/** One chunk of a chunked body; the empty one ends it. */
export function chunk(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

function parse(received: Buffer): { request: RawRequest; rest: Buffer } | null {
  const end = received.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const head = received.subarray(0, end).toString("latin1");
  const rest = received.subarray(end + 4);
  if (/^transfer-encoding:\s*chunked/im.test(head)) return parseChunked(head, rest);
  const length = Number(/^content-length:\s*(\d+)/im.exec(head)?.[1] ?? 0);
  if (rest.length < length) return null;
  return { request: { head, body: rest.subarray(0, length) }, rest: rest.subarray(length) };
}

function parseChunked(head: string, received: Buffer): { request: RawRequest; rest: Buffer } | null {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = received.indexOf("\r\n", at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(received.subarray(at, lineEnd).toString(), 16);
    if (received.length < lineEnd + 2 + size + 2) return null;
    if (size === 0) return { request: { head, body: Buffer.concat(parts) }, rest: received.subarray(lineEnd + 4) };
    parts.push(received.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
