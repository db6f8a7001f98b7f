import type { Dialect } from "../protocol/dialect.ts";
import type { NewEvent } from "../ports/task-store.ts";
import type { TaskState } from "./task-state.ts";
export interface FoldHead { state: TaskState; statusTimestamp: string | null; contextId: string; taskId: string }
export interface Fold { readonly dialect: Dialect }
export function openFold(dialect: Dialect, task: string): Fold { throw new Error("unbuilt"); }
export function emptyFold(dialect: Dialect, ids: { taskId: string; contextId: string }): Fold { throw new Error("unbuilt"); }
export function foldEvent(fold: Fold, event: NewEvent): "folded" | "ignored" { throw new Error("unbuilt"); }
export function taskText(fold: Fold, options?: { historyLength?: number | null; includeArtifacts?: boolean }): string { throw new Error("unbuilt"); }
export function foldHead(fold: Fold): FoldHead { throw new Error("unbuilt"); }
export function foldSize(fold: Fold): number { throw new Error("unbuilt"); }
export function artifactIds(fold: Fold): string[] { throw new Error("unbuilt"); }
export function rebuildFold(dialect: Dialect, snapshot: string | null, ids: { taskId: string; contextId: string }, tail: Iterable<NewEvent>): Fold { throw new Error("unbuilt"); }
