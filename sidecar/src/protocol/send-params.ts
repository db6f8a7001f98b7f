import type { Dialect } from "./dialect.ts";
/** historyLength of the send's configuration removed: the agent gives the whole history, the sidecar cuts it. */
export function stripHistoryLength(dialect: Dialect, params: string): string { throw new Error("unbuilt"); }
/** Inline push config of the send's configuration removed. */
export function stripInlinePush(dialect: Dialect, params: string): string { throw new Error("unbuilt"); }
export function withContextId(message: string, contextId: string): string { throw new Error("unbuilt"); }
/** Ids of params.message: null removes, undefined leaves. */
export function setMessageIds(params: string, ids: { taskId?: string | null; contextId?: string | null }): string { throw new Error("unbuilt"); }
/** Sets configuration.returnImmediately (1.0) or configuration.blocking (0.3). */
export function setBlocking(dialect: Dialect, params: string, blocking: boolean): string { throw new Error("unbuilt"); }
/** Sets one key of params.metadata. */
export function setRequestMetadata(params: string, key: string, rawValue: string): string { throw new Error("unbuilt"); }
/** Params of get, cancel and subscribe for calls the sidecar makes itself. */
export function taskParams(dialect: Dialect, ids: { tenant: string; id: string }): string { throw new Error("unbuilt"); }
