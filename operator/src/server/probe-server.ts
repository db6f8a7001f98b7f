/** Health and metrics over plain HTTP, for kubelet and Prometheus. */
import { createServer, type Server } from "node:http";
import type { Registry } from "prom-client";
import { listen } from "./listen.ts";

/** What the probes ask. */
export interface ProbeServerOptions {
  /** What is still missing before this replica can do its work; empty: ready. */
  missing: () => string[];
  registry: Registry;
}

/** Listens on `/livez`, `/readyz` and `/metrics`; port 0 takes a free one. */
export async function startProbeServer(
  { missing, registry }: ProbeServerOptions,
  address: { host: string; port: number },
): Promise<{ port: number; stop(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    const respond = (status: number, type: string, body: string): void => {
      response.writeHead(status, { "content-type": type });
      response.end(body);
    };
    switch (request.url) {
      case "/livez":
        respond(200, "text/plain", "ok\n");
        return;
      case "/readyz": {
        const problems = missing();
        respond(
          problems.length === 0 ? 200 : 503,
          "text/plain",
          problems.length === 0 ? "ok\n" : `${problems.join("\n")}\n`,
        );
        return;
      }
      case "/metrics":
        registry.metrics().then(
          (text) => respond(200, registry.contentType, text),
          () => respond(500, "text/plain", "metrics failed\n"),
        );
        return;
      default:
        respond(404, "text/plain", "not found\n");
    }
  });
  const port = await listen(server, address);
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
