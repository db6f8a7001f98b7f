import type { Dispatcher } from "undici";
import type { Agent } from "../../ports/agent.ts";

export interface HttpAgentOptions {
  /** From `openAgentPool`; closed with the agent. */
  pool: Dispatcher;
  /** AGENT_URL; its path, if any, is put before every request path. */
  agentUrl: string;
  /** Larger replies are refused as broken. Default 64 MiB. */
  maxReplyBytes?: number;
}

/** The agent over HTTP/1.1. */
export function openHttpAgent(_options: HttpAgentOptions): Agent {
  throw new Error("unbuilt");
}
