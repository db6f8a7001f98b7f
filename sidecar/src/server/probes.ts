import type { FastifyInstance } from "fastify";
import type { Logger } from "../flows/logger.ts";
import type { Metrics } from "./metrics.ts";

/** What keeps the instance out of the Service; all three have to hold. */
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
export function buildAdmin(_deps: AdminDeps): FastifyInstance {
  throw new Error("unbuilt");
}
