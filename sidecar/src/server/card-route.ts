import type { IncomingMessage, ServerResponse } from "node:http";
import type { Agent } from "../ports/agent.ts";
import type { Logger } from "../flows/logger.ts";

export interface CardRouteDeps {
  agent: Agent;
  agentUrl: string;
  publicUrl: string | null;
  log: Logger;
  onGrpcInterfaces: (count: number) => void;
  onSignaturesDropped: () => void;
}

/** Whether a GET of this request target asks for an agent card. */
export function isCardPath(_target: string): boolean {
  throw new Error("unbuilt");
}

export type CardRoute = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Serves the agent's own card with the URLs through which clients reach this sidecar. */
export function createCardRoute(_deps: CardRouteDeps): CardRoute {
  throw new Error("unbuilt");
}
