import { Pool } from "undici";

/**
 * Connections to the agent container, shared by recorded calls and pass-through. No time limit on headers or bodies:
 * a blocking send lasts as long as its task and a quiet stream is legal (a2a §3.1).
 */
export function openAgentPool(agentUrl: string): Pool {
  return new Pool(new URL(agentUrl).origin, {
    connections: null,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: 4_000,
    connect: { timeout: 5_000 },
  });
}
