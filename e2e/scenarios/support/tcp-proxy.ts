/** A loopback port that leads to another one, with a hand on every byte that comes back. */
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";

/** Gets what the server sent to one client and hands on what that client shall see, at once or later. */
export type Tap = (bytes: Buffer, send: (bytes: Buffer) => void) => void;

export interface TcpProxyStart {
  targetPort: number;
  /** A fresh tap per connection. Default: everything goes on as it comes. */
  tap?: () => Tap;
}

export interface TcpProxy {
  readonly port: number;
  /** Connections that are open at this moment. */
  readonly connections: number;
  /** Breaks every connection; the port goes on listening. */
  cut(): void;
  /** Ends every connection once what was sent has arrived. */
  end(): void;
  /** While refusing, whoever connects is cut off at once. */
  refuse(refusing: boolean): void;
  close(): Promise<void>;
}

export async function startTcpProxy(start: TcpProxyStart): Promise<TcpProxy> {
  const open = new Set<Socket>();
  let refusing = false;
  const server = createServer((client) => {
    if (refusing) {
      client.destroy();
      return;
    }
    const target = connect({ host: "127.0.0.1", port: start.targetPort });
    const end = () => {
      client.destroy();
      target.destroy();
      open.delete(client);
    };
    open.add(client);
    for (const socket of [client, target]) socket.setNoDelay(true).on("error", end).on("close", end);
    client.pipe(target);
    if (start.tap === undefined) {
      target.pipe(client);
      return;
    }
    const tap = start.tap();
    const send = (bytes: Buffer) => {
      if (!client.destroyed) client.write(bytes);
    };
    target.on("data", (bytes) => tap(bytes, send));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const cut = () => {
    for (const client of open) client.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return open.size;
    },
    cut,
    end: () => {
      for (const client of open) client.end();
    },
    refuse: (next) => {
      refusing = next;
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
