/** A loopback port that leads to another one and can be cut: what the server has begun it brings to its end unheard. */
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";

export interface Link {
  readonly port: number;
  /** Breaks every connection; the port goes on listening. */
  cut(): void;
  /** From now on nobody hears anything over a new connection. */
  silenceNew(): void;
  /** Connections that hear nothing. */
  readonly silenced: number;
  close(): Promise<void>;
}

export async function openLink(targetPort: number): Promise<Link> {
  const open = new Set<Socket>();
  const silenced = new Set<Socket>();
  let silencesNew = false;
  const server = createServer((client) => {
    if (silencesNew) {
      open.add(client);
      silenced.add(client);
      client
        .on("error", () => undefined)
        .on("close", () => {
          open.delete(client);
          silenced.delete(client);
        })
        .resume();
      return;
    }
    const target = connect({ host: "127.0.0.1", port: targetPort });
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      open.add(socket);
      socket.setNoDelay(true).pipe(other);
      socket
        .on("error", () => undefined)
        .on("close", () => {
          open.delete(socket);
          other.destroy();
        });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    silenceNew: () => {
      silencesNew = true;
    },
    get silenced() {
      return silenced.size;
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
