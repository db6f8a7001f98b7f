import { fastify, type FastifyInstance } from "fastify";
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
  draining: boolean;
}

export interface AdminDeps {
  readiness: () => Readiness;
  metrics: Metrics;
  log: Logger;
}

/** ADMIN_PORT: `/livez`, `/readyz`, `/metrics`. */
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
  app.setErrorHandler((error, _request, reply) => {
    deps.log.error({ err: error }, "an admin request failed");
    return reply.code(500).send({ error: "internal error" });
  });
  return app;
}

function unmet(readiness: Readiness): string[] {
  return [
    ...(readiness.schemaCompatible ? [] : ["a compatible database schema"]),
    ...(readiness.agentAnswered ? [] : ["the agent's first answer"]),
    ...(readiness.draining ? ["the end of draining"] : []),
  ];
}
