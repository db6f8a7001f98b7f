/** An agent of 1.0 that answers as the test says, without a network. */
import { HttpAgentEvents } from "../../src/adapters/agent/agent-events.ts";
import type { Agent, AgentExchange, AgentRequest } from "../../src/ports/agent.ts";

/** A call as the agent got it. */
export interface ScriptedCall {
  method: string;
  params: Record<string, unknown>;
  request: AgentRequest;
}

type Script = (call: ScriptedCall) => AgentExchange | Promise<AgentExchange>;

const CARD = {
  protocolVersion: "1.0",
  supportedInterfaces: [{ url: "http://agent/", protocolBinding: "JSONRPC", protocolVersion: "1.0" }],
  capabilities: { streaming: true },
};

/** Answers what it has a script for; everything else is an unknown method. */
export class ScriptedAgent implements Agent {
  readonly calls: ScriptedCall[] = [];
  readonly #scripts = new Map<string, Script>();
  /** False: nobody listens on its port. */
  listening = true;

  on(method: string, script: Script): this {
    this.#scripts.set(method, script);
    return this;
  }

  /** Calls of one method, in order. */
  got(method: string): ScriptedCall[] {
    return this.calls.filter((call) => call.method === method);
  }

  async exchange(request: AgentRequest): Promise<AgentExchange> {
    if (!this.listening) return { kind: "failed", end: "refused", cause: null };
    if (request.body === null) return replyOf(JSON.stringify(CARD));
    const { method, params } = JSON.parse(request.body) as ScriptedCall;
    const call = { method, params, request };
    this.calls.push(call);
    return (this.#scripts.get(method) ?? (() => errorOf(-32601)))(call);
  }

  async close(): Promise<void> {}
}

/** A JSON-RPC result. */
export function resultOf(result: unknown): AgentExchange {
  return replyOf(JSON.stringify({ jsonrpc: "2.0", id: 1, result }));
}

/** A JSON-RPC error. */
export function errorOf(code: number, message = "scripted"): AgentExchange {
  return replyOf(JSON.stringify({ jsonrpc: "2.0", id: 1, error: { code, message } }));
}

/** An HTTP reply of any kind. */
export function replyOf(body: string, status = 200, contentType = "application/json"): AgentExchange {
  return { kind: "reply", reply: { status, headers: { "content-type": contentType }, body } };
}

/** An exchange that broke off. */
export const brokenExchange: AgentExchange = { kind: "failed", end: "broken", cause: null };

/** An SSE reply whose events the test sends. */
export class ScriptedStream {
  readonly events = new HttpAgentEvents({ pause: () => {}, resume: () => {}, abort: () => this.#close() }, 1_000_000);
  /** Whether the reader has given it up. */
  closed = false;

  get exchange(): AgentExchange {
    return { kind: "events", status: 200, headers: { "content-type": "text/event-stream" }, events: this.events };
  }

  send(...results: unknown[]): this {
    for (const result of results) {
      this.events.push(Buffer.from(`data: ${JSON.stringify({ jsonrpc: "2.0", id: 1, result })}\n\n`));
    }
    return this;
  }

  end(end: "clean" | "broken" = "clean"): this {
    this.events.finish(end);
    return this;
  }

  #close(): void {
    this.closed = true;
  }
}

/** A Task of 1.0. */
export function taskOf(id: string, state: string, more: Record<string, unknown> = {}) {
  return { id, contextId: "C", status: { state: `TASK_STATE_${state}` }, ...more };
}

/** A status update of 1.0. */
export function statusOf(taskId: string, state: string) {
  return { statusUpdate: { taskId, contextId: "C", status: { state: `TASK_STATE_${state}` } } };
}

/** An artifact update of 1.0. */
export function artifactOf(taskId: string, artifactId: string, text: string, append = false) {
  return { artifactUpdate: { taskId, contextId: "C", artifact: { artifactId, parts: [{ text }] }, append } };
}
