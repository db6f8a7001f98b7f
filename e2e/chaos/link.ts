/** A loopback port that leads to another one, and that can be cut, closed, or made silent while it looks open. */
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";

export interface Link {
  readonly port: number;
  /** Breaks every connection; the port goes on listening. */
  cut(): void;
  /** While refusing, whoever connects is cut off at once. */
  refuse(refusing: boolean): void;
  /** While silent, no byte passes in either direction and nothing is closed; then the bytes go on. */
  silence(silent: boolean): void;
  close(): Promise<void>;
}

export async function openLink(targetPort: number): Promise<Link> {
  const open = new Set<readonly [Socket, Socket]>();
  let refusing = false;
  let silent = false;
  const server = createServer((client) => {
    if (refusing) {
      client.destroy();
      return;
    }
    const target = connect({ host: "127.0.0.1", port: targetPort });
    const pair = [client, target] as const;
    const end = () => {
      for (const socket of pair) socket.destroy();
      open.delete(pair);
    };
    open.add(pair);
    for (const socket of pair) socket.setNoDelay(true).on("error", end).on("close", end);
    client.on("data", (bytes) => target.write(bytes));
    target.on("data", (bytes) => client.write(bytes));
    if (silent) for (const socket of pair) socket.pause();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const cut = () => {
    for (const [client, target] of open) {
      client.destroy();
      target.destroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    refuse: (next) => {
      refusing = next;
    },
    silence: (next) => {
      silent = next;
      for (const socket of [...open].flat()) {
        if (silent) socket.pause();
        else socket.resume();
      }
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
