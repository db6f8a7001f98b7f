/** A client that writes bytes and keeps what comes back, so that framing itself can be tested. */
import { connect, type Socket } from "node:net";
import { waitFor } from "./wait.ts";

export interface RawClient {
  readonly socket: Socket;
  /** Everything received, as latin1. */
  readonly received: string;
  readonly closed: boolean;
  write(text: string | Buffer): void;
  /** Resolves once the received text matches. */
  until(pattern: RegExp): Promise<RegExpMatchArray>;
}

export async function openRawClient(port: number): Promise<RawClient> {
  const chunks: Buffer[] = [];
  const socket = connect({ host: "127.0.0.1", port });
  let closed = false;
  socket
    .on("data", (bytes) => chunks.push(bytes))
    .on("close", () => (closed = true))
    .on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve));
  const text = (): string => Buffer.concat(chunks).toString("latin1");
  return {
    socket,
    get received() {
      return text();
    },
    get closed() {
      return closed;
    },
    write: (bytes) => void socket.write(bytes),
    until: (pattern) =>
      waitFor(() => pattern.exec(text()), {
        deadlineMs: 5_000,
        message: () => `${String(pattern)} in ${text().slice(0, 500)}`,
      }),
  };
}
