/** The two agents of the demo: what differs between them, so that every scene is played for both. */
import { randomUUID } from "node:crypto";
import type { AgentKind } from "../support/replica.ts";
import type { ConnectClient } from "./client.ts";
import { connectClient03 } from "./client-03.ts";
import { connectClient1 } from "./client-1.ts";

export interface Flavour {
  title: string;
  agent: AgentKind;
  connect: ConnectClient;
  /** Where the agent takes JSON-RPC. */
  rpcPath: string;
  /** Headers of its version, for calls without an SDK client. */
  headers: Record<string, string>;
  /** Bodies for calls without an SDK client. */
  streamBody(text: string, messageId?: string): string;
  subscribeBody(taskId: string): string;
  getBody(taskId: string): string;
}

const a2a1: Flavour = {
  title: "A2A 1.0 (@a2a-js/sdk 1.3.0)",
  agent: "js-1",
  connect: connectClient1,
  rpcPath: "/a2a/jsonrpc",
  headers: { "A2A-Version": "1.0" },
  streamBody: (text, messageId = randomUUID()) =>
    call("SendStreamingMessage", { message: { messageId, role: "ROLE_USER", parts: [{ text }] } }),
  subscribeBody: (id) => call("SubscribeToTask", { id }),
  getBody: (id) => call("GetTask", { id }),
};

const a2a03: Flavour = {
  title: "A2A 0.3 (@a2a-js/sdk 0.3.14)",
  agent: "js-03",
  connect: connectClient03,
  rpcPath: "/",
  headers: {},
  streamBody: (text, messageId = randomUUID()) => {
    const parts = [{ kind: "text", text }];
    return call("message/stream", { message: { kind: "message", messageId, role: "user", parts } });
  },
  subscribeBody: (id) => call("tasks/resubscribe", { id }),
  getBody: (id) => call("tasks/get", { id }),
};

export const flavours: readonly Flavour[] = [a2a1, a2a03];

function call(method: string, params: object): string {
  return JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
}
