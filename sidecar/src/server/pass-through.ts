import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Dispatcher } from "undici";
import type { Logger } from "../flows/logger.ts";

export interface PassThroughDeps {
  pool: Dispatcher;
  agentUrl: string;
  log: Logger;
}

export interface PassThrough {
  /** Sends the request on and the reply back, unchanged but for hop-by-hop headers (P10). `body` = bytes already read from the request. Never rejects. */
  forward(request: IncomingMessage, response: ServerResponse, body?: Buffer): Promise<void>;
  /** Joins the two sockets of an upgraded connection (WebSocket). */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export function createPassThrough(_deps: PassThroughDeps): PassThrough {
  throw new Error("unbuilt");
}
