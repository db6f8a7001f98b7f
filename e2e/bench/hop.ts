/** The least a process between client and agent can do: bare `node:http` in, undici's `dispatch` out, nothing looked at. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { Pool } from "undici";
import { announceReady, listeningPort } from "../agents/agent-process.ts";

const target = process.argv[2];
if (target === undefined) throw new Error("usage: hop.ts <url of the agent>");
const pool = new Pool(target, { connections: 128, headersTimeout: 0, bodyTimeout: 0 });

function endToEnd({ connection: _connection, "keep-alive": _kept, ...headers }: IncomingHttpHeaders) {
  return headers;
}

function forward(request: IncomingMessage, response: ServerResponse): void {
  pool.dispatch(
    { method: request.method ?? "GET", path: request.url ?? "/", headers: endToEnd(request.headers), body: request },
    {
      onRequestStart: (controller) => {
        response.on("drain", () => controller.resume());
        response.on("close", () => {
          if (!response.writableFinished) controller.abort(new Error("the client has left"));
        });
      },
      onResponseStart: (_controller, status, headers) => {
        response.writeHead(status, endToEnd(headers));
      },
      onResponseData: (controller, chunk) => {
        if (!response.write(chunk)) controller.pause();
      },
      onResponseEnd: () => {
        response.end();
      },
      onResponseError: () => {
        response.destroy();
      },
    },
  );
}

const server = createServer(forward);
server.listen(0, "127.0.0.1", () => announceReady("hop", listeningPort(server)));
