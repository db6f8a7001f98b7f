import { timingSafeEqual } from "node:crypto";
import { ADMIN_PATHS, HEADERS } from "@durable-agent/crds/contract";
import { fastify, type FastifyInstance, type preHandlerAsyncHookHandler } from "fastify";
import type { Logger } from "../flows/logger.ts";
import type { Metrics } from "./metrics.ts";

/**
 * What keeps the instance in the Service. It does not fall with Postgres or NATS: an outage must give clear errors, not
 * an empty Service.
 */
export interface Readiness {
  /** The database schema was once seen to be compatible. */
  schemaCompatible: boolean;
  /** The agent has answered once. */
  agentAnswered: boolean;
  /** The instance has held its lease once; it asks for one when its agent has answered. */
  registered: boolean;
  draining: boolean;
}

export interface AdminDeps {
  readiness: () => Readiness;
  metrics: Metrics;
  log: Logger;
  /** What `/drain` and `/prestop` ask for in a header; null: they answer to loopback only. */
  drainToken: string | null;
  /** Both resolve when the instance is drained. */
  drain: () => Promise<void>;
  preStop: () => Promise<void>;
}

/** ADMIN_PORT: `/livez`, `/readyz`, `/metrics`, `POST /drain`, `GET /prestop`. */
export function buildAdmin(deps: AdminDeps): FastifyInstance {
  const app = fastify({ logger: false, return503OnClosing: false, forceCloseConnections: true });
  app.get("/livez", (_request, reply) => reply.send({ status: "ok" }));
  app.get("/readyz", (_request, reply) => {
    const waitingFor = unmet(deps.readiness());
    return reply.code(waitingFor.length === 0 ? 200 : 503).send({ ready: waitingFor.length === 0, waitingFor });
  });
  app.get("/metrics", async (_request, reply) => {
    const { contentType, body } = await deps.metrics.render();
    return reply.header("content-type", contentType).send(body);
  });
  const guarded = { preHandler: drainGuard(deps.drainToken) };
  app.post(ADMIN_PATHS.drain, guarded, async () => {
    await deps.drain();
    return { drained: true };
  });
  // kubelet asks this when the container is to stop, and sends SIGTERM only after the answer.
  app.get(ADMIN_PATHS.preStop, guarded, async () => {
    await deps.preStop();
    return { drained: true };
  });
  app.setErrorHandler((error, _request, reply) => {
    deps.log.error({ err: error }, "an admin request failed");
    return reply.code(500).send({ error: "internal error" });
  });
  return app;
}

/** Lets a request through that carries the token, or comes from this machine where there is none. */
function drainGuard(token: string | null): preHandlerAsyncHookHandler {
  return async (request, reply) => {
    const given = request.headers[HEADERS.drainToken.toLowerCase()];
    const allowed = token === null ? isLoopback(request.socket.remoteAddress) : sameText(given, token);
    if (!allowed) await reply.code(403).send({ error: "the drain token is missing or wrong" });
  };
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(::1$|(::ffff:)?127\.)/.test(address);
}

/** In constant time for equal lengths. */
function sameText(given: string | string[] | undefined, expected: string): boolean {
  if (typeof given !== "string") return false;
  const [left, right] = [Buffer.from(given), Buffer.from(expected)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function unmet(readiness: Readiness): string[] {
  return [
    ...(readiness.schemaCompatible ? [] : ["a compatible database schema"]),
    ...(readiness.agentAnswered ? [] : ["the agent's first answer"]),
    ...(readiness.registered ? [] : ["the first lease in the database"]),
    ...(readiness.draining ? ["the end of draining"] : []),
  ];
}
