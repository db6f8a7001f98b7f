import type { Dialect } from "./dialect.ts";
import type { TaskState } from "../domain/task-state.ts";
export type A2aErrorName =
  | "task-not-found" | "task-not-cancelable" | "push-not-supported" | "unsupported-operation"
  | "content-type-not-supported" | "invalid-agent-response" | "extended-card-not-configured"
  | "extension-support-required" | "version-not-supported" | "invalid-params" | "invalid-request"
  | "parse-error" | "method-not-found" | "internal";
export function errorCode(name: A2aErrorName): number { throw new Error("unbuilt"); }
export function a2aError(dialect: Dialect, name: A2aErrorName, message: string, metadata?: Record<string, string>): string { throw new Error("unbuilt"); }
export function taskNotFound(dialect: Dialect, taskId: string): string { throw new Error("unbuilt"); }
export function terminalSendError(dialect: Dialect, taskId: string, state: TaskState): string { throw new Error("unbuilt"); }
export function terminalSubscribeError(dialect: Dialect, taskId: string, state: TaskState): string | null { throw new Error("unbuilt"); }
export function cancelTerminalError(dialect: Dialect, taskId: string, state: TaskState): string { throw new Error("unbuilt"); }
export function wrongDialectError(callDialect: Dialect): string { throw new Error("unbuilt"); }
