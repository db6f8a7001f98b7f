/**
 * A plain round-robin balancer: the next request goes to the next backend, whoever sent it and whatever it says.
 *
 * As a Kubernetes Service in front of pods it has no stickiness, no retries and no idea of A2A. It keeps `Host` and
 * adds `X-Forwarded-*`, and tells the client in `x-served-by` which backend answered, so that a reader of a timeline
 * can see it. Nothing is buffered: an event stream flows as it comes.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, request as sendRequest } from "node:http";
import type { AddressInfo } from "node:net";

/** One replica behind the balancer. */
export interface Backend {
  name: string;
  /** `http://host:port` */
  url: string;
}

/** A listening balancer. */
export interface Balancer {
  /** `http://localhost:<port>`, the same for its whole life. */
  readonly url: string;
  /** From the next request on these take turns. Requests on their way are not disturbed. */
  setBackends(backends: readonly Backend[]): void;
  /** Cuts what is open and stops listening. */
  close(): Promise<void>;
}

/** The response header that names the backend. */
export const SERVED_BY = "x-served-by";

/** Listens on a free loopback port; without backends it answers 503. */
export async function startBalancer(): Promise<Balancer> {
  let backends: readonly Backend[] = [];
  let turn = 0;
  const agent = new Agent({ keepAlive: true });
  const server = createServer((request, response) => {
    const backend = backends[turn++ % Math.max(backends.length, 1)];
    if (backend === undefined) {
      response.writeHead(503).end("no backend");
      return;
    }
    forward(request, response, { backend, agent });
  });
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}`,
    setBackends: (next) => {
      backends = next;
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}

function forward(request: IncomingMessage, response: ServerResponse, to: { backend: Backend; agent: Agent }): void {
  const target = new URL(to.backend.url);
  const upstream = sendRequest({
    host: target.hostname,
    port: target.port,
    method: request.method,
    path: request.url,
    headers: {
      ...request.headers,
      "x-forwarded-for": request.socket.remoteAddress ?? "",
      "x-forwarded-host": request.headers.host ?? "",
      "x-forwarded-proto": "http",
    },
    agent: to.agent,
  });
  upstream.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, { ...answer.headers, [SERVED_BY]: to.backend.name });
    response.flushHeaders();
    answer.pipe(response);
    answer.on("error", () => response.destroy());
  });
  upstream.on("error", () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { [SERVED_BY]: to.backend.name }).end("bad gateway");
  });
  // A client that leaves takes its upstream request with it, as behind any proxy.
  response.on("close", () => upstream.destroy());
  request.pipe(upstream);
}
