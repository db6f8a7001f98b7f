/** Listening on every address of the machine, whether or not it has IPv6. */
import type { AddressInfo, Server } from "node:net";

/** Resolves to the port; `::` falls back to `0.0.0.0` where there is no IPv6. Port 0 takes a free one. */
export async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<number> {
  try {
    await attempt(server, host, port);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (host !== "::" || !["EAFNOSUPPORT", "EADDRNOTAVAIL"].includes(code)) throw error;
    await attempt(server, "0.0.0.0", port);
  }
  return (server.address() as AddressInfo).port;
}

function attempt(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
