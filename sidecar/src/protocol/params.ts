import type { Dialect } from "./dialect.ts";
import type { Operation } from "./methods.ts";
import type { TaskState } from "../domain/task-state.ts";
export type Parsed<T> = { kind: "ok"; value: T } | { kind: "bad"; error: string };
export interface SendParams {
  tenant: string; message: string; messageId: string; taskId: string | null; contextId: string | null;
  blocking: boolean | null; historyLength: number | null; inlinePush: boolean;
}
export interface TaskParams { tenant: string; id: string; historyLength: number | null }
export interface PushParams { tenant: string; taskId: string; configId: string | null }
export interface ListParams {
  tenant: string; contextId: string | null; state: TaskState | null; statusTimestampAfter: string | null;
  pageSize: number; pageToken: string; historyLength: number | null; includeArtifacts: boolean;
}
export function isUsableId(id: string): boolean { throw new Error("unbuilt"); }
export function parseSend(dialect: Dialect, params: string | undefined): Parsed<SendParams> { throw new Error("unbuilt"); }
export function parseTaskParams(dialect: Dialect, params: string | undefined): Parsed<TaskParams> { throw new Error("unbuilt"); }
export function parsePush(dialect: Dialect, operation: Operation, params: string | undefined): Parsed<PushParams> { throw new Error("unbuilt"); }
export function parseList(params: string | undefined): Parsed<ListParams> { throw new Error("unbuilt"); }
export function tenantOf(params: string | undefined): string { throw new Error("unbuilt"); }
