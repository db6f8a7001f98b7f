/** A webhook that keeps what is pushed to it. */
import type { IncomingHttpHeaders } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Json } from "./rpc-client.ts";

export interface Push {
  headers: IncomingHttpHeaders;
  body: Json;
}

export interface Webhook {
  /** An address that nobody else is told: pushes are kept per path. */
  url(path: string): string;
  /** What came to the path so far, in order. */
  pushes(path: string): readonly Push[];
  close(): Promise<void>;
}

export async function startWebhook(): Promise<Webhook> {
  const kept = new Map<string, Push[]>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url ?? "/";
      const pushes = kept.get(path) ?? [];
      pushes.push({ headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString("utf8")) });
      kept.set(path, pushes);
      response.writeHead(200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: (path) => `http://127.0.0.1:${port}${path}`,
    pushes: (path) => kept.get(path) ?? [],
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
