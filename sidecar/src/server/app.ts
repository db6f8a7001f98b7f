import type { FastifyInstance } from "fastify";
import type { HandleJsonRpc } from "../flows/answer.ts";
import type { Logger } from "../flows/logger.ts";
import type { CardRoute } from "./card-route.ts";
import type { PassThrough } from "./pass-through.ts";

export interface AppDeps {
  handleJsonRpc: HandleJsonRpc;
  passThrough: PassThrough;
  serveCard: CardRoute;
  /** Largest JSON body that is buffered, encoded and decoded. */
  maxBodyBytes: number;
  log: Logger;
  /** Milliseconds between keep-alive comments. Default 15 s. */
  keepAliveMs?: number;
}

/** The A2A side of the sidecar; `listen({ host, port })` and `close()` are fastify's. */
export function buildApp(_deps: AppDeps): FastifyInstance {
  throw new Error("unbuilt");
}
