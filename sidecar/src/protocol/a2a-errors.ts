import type { TaskState } from "../domain/task-state.ts";
import type { Dialect } from "./dialect.ts";
import { stateName } from "./states.ts";

/** The errors the sidecar itself may answer with. */
export type A2aErrorName =
  | "task-not-found"
  | "task-not-cancelable"
  | "push-not-supported"
  | "unsupported-operation"
  | "content-type-not-supported"
  | "invalid-agent-response"
  | "extended-card-not-configured"
  | "extension-support-required"
  | "version-not-supported"
  | "invalid-params"
  | "invalid-request"
  | "parse-error"
  | "method-not-found"
  | "internal";

/** Codes of JSON-RPC 2.0 §5.1 and A2A 1.0 §5.4; `reason` is what ErrorInfo carries in 1.0, none for plain JSON-RPC errors. */
const errors: Record<A2aErrorName, { code: number; reason: string | null }> = {
  "task-not-found": { code: -32001, reason: "TASK_NOT_FOUND" },
  "task-not-cancelable": { code: -32002, reason: "TASK_NOT_CANCELABLE" },
  "push-not-supported": { code: -32003, reason: "PUSH_NOTIFICATION_NOT_SUPPORTED" },
  "unsupported-operation": { code: -32004, reason: "UNSUPPORTED_OPERATION" },
  "content-type-not-supported": { code: -32005, reason: "CONTENT_TYPE_NOT_SUPPORTED" },
  "invalid-agent-response": { code: -32006, reason: "INVALID_AGENT_RESPONSE" },
  "extended-card-not-configured": { code: -32007, reason: "EXTENDED_AGENT_CARD_NOT_CONFIGURED" },
  "extension-support-required": { code: -32008, reason: "EXTENSION_SUPPORT_REQUIRED" },
  "version-not-supported": { code: -32009, reason: "VERSION_NOT_SUPPORTED" },
  // The JavaScript SDK sends ErrorInfo with this one too.
  "invalid-params": { code: -32602, reason: "INVALID_PARAMS" },
  "invalid-request": { code: -32600, reason: null },
  "parse-error": { code: -32700, reason: null },
  "method-not-found": { code: -32601, reason: null },
  internal: { code: -32603, reason: null },
};

/** The JSON-RPC code of an error. */
export function errorCode(name: A2aErrorName): number {
  return errors[name].code;
}

/**
 * A raw JSON-RPC error object. 1.0 carries `data`, an array with one google.rpc.ErrorInfo (A2A 1.0 §9.5); 0.3 carries
 * code and message only, as its SDKs do.
 */
export function a2aError(
  dialect: Dialect,
  name: A2aErrorName,
  message: string,
  metadata?: Record<string, string>,
): string {
  const { code, reason } = errors[name];
  if (dialect === "0.3" || reason === null) return JSON.stringify({ code, message });
  const info = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    reason,
    domain: "a2a-protocol.org",
    ...(metadata === undefined ? {} : { metadata }),
  };
  return JSON.stringify({ code, message, data: [info] });
}

/** The one answer for an unknown task and for somebody else's (P9). */
export function taskNotFound(dialect: Dialect, taskId: string): string {
  return a2aError(dialect, "task-not-found", `Task not found: ${taskId}`);
}

/** A message to a finished task: unsupported-operation in 1.0 (§3.1.1), invalid-request in 0.3, as its JavaScript SDK. */
export function terminalSendError(dialect: Dialect, taskId: string, state: TaskState): string {
  const name = dialect === "1.0" ? "unsupported-operation" : "invalid-request";
  const wireState = stateName(dialect, state);
  return a2aError(dialect, name, `Task ${taskId} is in a terminal state (${wireState}) and cannot be modified.`);
}

/**
 * A subscription to a finished task: unsupported-operation in 1.0 (§3.1.6). Null in 0.3, whose JavaScript SDK sends the
 * Task and closes.
 */
export function terminalSubscribeError(dialect: Dialect, taskId: string, state: TaskState): string | null {
  if (dialect === "0.3") return null;
  const message = `Task ${taskId} is in a terminal state (${stateName(dialect, state)}) and cannot be subscribed to.`;
  return a2aError(dialect, "unsupported-operation", message);
}

/** A cancel of a finished task. A canceled one is no error in 1.0 (§3.3.1): the caller decides that before. */
export function cancelTerminalError(dialect: Dialect, taskId: string, state: TaskState): string {
  return a2aError(dialect, "task-not-cancelable", `Task not cancelable: ${taskId} (${stateName(dialect, state)})`);
}

/** A call in one dialect on a task that was created in the other. */
export function wrongDialectError(callDialect: Dialect): string {
  const taskDialect = callDialect === "1.0" ? "0.3" : "1.0";
  const name = callDialect === "1.0" ? "version-not-supported" : "unsupported-operation";
  return a2aError(
    callDialect,
    name,
    `This task was created with A2A ${taskDialect} and is not available in A2A ${callDialect}. Call it with A2A ${taskDialect}.`,
  );
}

/** What the sidecar answers on its own account with a status other than 200. */
export const refusals = {
  /** The body is larger than MAX_BODY_BYTES. */
  "too-large": { status: 413, error: "invalid-request", retryAfterSeconds: null },
  /** Nothing can be recorded at the moment: the same call may be repeated (P11). */
  unavailable: { status: 503, error: "internal", retryAfterSeconds: 1 },
  /** The agent does not answer. */
  "agent-unreachable": { status: 502, error: "internal", retryAfterSeconds: null },
} as const satisfies Record<string, { status: number; error: A2aErrorName; retryAfterSeconds: number | null }>;
