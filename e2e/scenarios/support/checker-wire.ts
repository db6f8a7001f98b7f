/** The words of both dialects as a client without an SDK needs them: how to say a call, how to read what comes back. */
import { randomUUID } from "node:crypto";
import { sliceMember } from "../../agents/raw/raw-json.ts";
import type { AgentKind } from "../../support/replica.ts";

export type Dialect = "0.3" | "1.0";

export type Operation = "send" | "stream" | "get" | "list" | "cancel" | "subscribe";

const METHODS: Record<Dialect, Record<Operation, string>> = {
  "0.3": {
    send: "message/send",
    stream: "message/stream",
    get: "tasks/get",
    // No such method: what comes back is the agent's own refusal.
    list: "tasks/list",
    cancel: "tasks/cancel",
    subscribe: "tasks/resubscribe",
  },
  "1.0": {
    send: "SendMessage",
    stream: "SendStreamingMessage",
    get: "GetTask",
    list: "ListTasks",
    cancel: "CancelTask",
    subscribe: "SubscribeToTask",
  },
};

/** One JSON-RPC call, ready to be posted. */
export interface Call {
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** Where an agent of this kind listens for JSON-RPC. */
export function rpcPath(agent: AgentKind): string {
  return agent === "js-1" ? "/a2a/jsonrpc" : agent === "raw" ? "/rpc" : "/";
}

export function callOf(
  target: { base: string; agent: AgentKind; dialect: Dialect },
  operation: Operation,
  params: object,
): Call {
  return {
    url: `${target.base}${rpcPath(target.agent)}`,
    headers: { "content-type": "application/json", ...(target.dialect === "1.0" && { "a2a-version": "1.0" }) },
    body: JSON.stringify({ jsonrpc: "2.0", id: randomUUID(), method: METHODS[target.dialect][operation], params }),
  };
}

export interface Said {
  text: string;
  messageId: string;
  contextId?: string;
  taskId?: string;
  /** Answer at once, while the work goes on. */
  nonBlocking?: boolean;
}

/** The params of a send in either dialect. */
export function sendParams(dialect: Dialect, said: Said): object {
  const old = dialect === "0.3";
  return {
    message: {
      ...(old && { kind: "message" }),
      messageId: said.messageId,
      role: old ? "user" : "ROLE_USER",
      parts: [old ? { kind: "text", text: said.text } : { text: said.text }],
      ...(said.contextId !== undefined && { contextId: said.contextId }),
      ...(said.taskId !== undefined && { taskId: said.taskId }),
    },
    ...(said.nonBlocking === true && { configuration: old ? { blocking: false } : { returnImmediately: true } }),
  };
}

/** A reply or one event of a stream; `result` is raw JSON text. */
export type Envelope =
  | { kind: "result"; result: string }
  | { kind: "error"; code: number; message: string }
  | { kind: "other"; text: string };

export function readEnvelope(text: string): Envelope {
  let parsed: { result?: unknown; error?: { code: number; message: string } };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    return { kind: "other", text };
  }
  if (parsed.error !== undefined) return { kind: "error", code: parsed.error.code, message: parsed.error.message };
  const result = sliceMember(text, ["result"]);
  return result === null ? { kind: "other", text } : { kind: "result", result };
}

/** What a result in stream form (or a bare Task) says about the task. */
export interface Told {
  kind: "task" | "status" | "artifact" | "message";
  taskId: string | null;
  contextId: string | null;
  /** As 0.3 spells it; null where the result holds no status. */
  state: string | null;
}

interface WireStatus {
  state?: string;
}
interface WireBody {
  kind?: string;
  id?: string;
  taskId?: string;
  contextId?: string;
  status?: WireStatus;
  artifact?: unknown;
  parts?: unknown;
}

export function readResult(result: string): Told {
  const parsed = JSON.parse(result) as WireBody &
    Partial<Record<"task" | "statusUpdate" | "artifactUpdate" | "message", WireBody>>;
  const wrapped = parsed.task ?? parsed.statusUpdate ?? parsed.artifactUpdate ?? parsed.message;
  const body = wrapped ?? parsed;
  const kind =
    parsed.message !== undefined || parsed.kind === "message"
      ? "message"
      : body.artifact !== undefined
        ? "artifact"
        : body.taskId !== undefined
          ? "status"
          : "task";
  return {
    kind,
    taskId: (kind === "task" ? body.id : body.taskId) ?? null,
    contextId: body.contextId ?? null,
    state: body.status?.state === undefined ? null : plainState(body.status.state),
  };
}

/** A state as 0.3 spells it. */
export function plainState(state: string): string {
  return state.replace("TASK_STATE_", "").toLowerCase().replace("_", "-");
}

const TERMINAL = new Set(["completed", "failed", "canceled", "rejected"]);

export function isTerminalState(state: string | null): boolean {
  return state !== null && TERMINAL.has(state);
}

/**
 * The event as everybody sees it: a 0.3 server says `final` on the event after which it closes this very stream, so the
 * member may differ between two readers. Nothing else may.
 */
export function withoutFinal(payload: string): string {
  return payload.replace(/,?\s*"final"\s*:\s*(true|false)/, "");
}
