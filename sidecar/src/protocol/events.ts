import type { Dialect } from "./dialect.ts";
import type { TaskState } from "../domain/task-state.ts";
export interface TaskEventView { kind: "task"; taskId: string; contextId: string; state: TaskState; timestamp: string | null; payload: string; task: string }
export interface MessageEventView { kind: "message"; messageId: string | null; taskId: string | null; contextId: string | null; payload: string; message: string }
export interface StatusEventView { kind: "status"; taskId: string; contextId: string; state: TaskState; timestamp: string | null; final: boolean; payload: string }
export interface ArtifactEventView { kind: "artifact"; taskId: string; contextId: string; payload: string }
export interface OtherEventView { kind: "other"; payload: string }
export type A2aEvent = TaskEventView | MessageEventView | StatusEventView | ArtifactEventView | OtherEventView;
export function parseEvent(dialect: Dialect, payload: string): A2aEvent { throw new Error("unbuilt"); }
export function parseSendResult(dialect: Dialect, result: string): A2aEvent { throw new Error("unbuilt"); }
/** The bare Task of get, cancel and list; "other" when it is none. */
export function parseTask(dialect: Dialect, task: string): TaskEventView | OtherEventView { throw new Error("unbuilt"); }
export function wrapTask(dialect: Dialect, task: string): string { throw new Error("unbuilt"); }
export function wrapMessage(dialect: Dialect, message: string): string { throw new Error("unbuilt"); }
export interface StatusUpdate {
  taskId: string; contextId: string; state: TaskState; timestamp: string;
  message?: { messageId: string; text: string } | string; metadata?: string; final: boolean;
}
export function statusPayload(dialect: Dialect, update: StatusUpdate): string { throw new Error("unbuilt"); }
export interface ArtifactUpdate { taskId: string; contextId: string; artifact: string; append: boolean; lastChunk?: boolean }
export function artifactPayload(dialect: Dialect, update: ArtifactUpdate): string { throw new Error("unbuilt"); }
export function stateName(dialect: Dialect, state: TaskState): string { throw new Error("unbuilt"); }
export function parseState(dialect: Dialect, name: string | undefined): TaskState | undefined { throw new Error("unbuilt"); }
export function withFinal(payload03: string, final: boolean): string { throw new Error("unbuilt"); }
export function normalTimestamp(timestamp: string | undefined): string | null { throw new Error("unbuilt"); }
