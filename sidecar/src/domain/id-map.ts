import type { Dialect } from "../protocol/dialect.ts";
import type { Operation } from "../protocol/methods.ts";
export interface IdPair { agent: string; public: string }
export interface IdMap { task: IdPair | null; context: IdPair | null; /** agent artifact id → public */ artifacts?: ReadonlyMap<string, string> }
export const identityMap: IdMap = { task: null, context: null };
export function idMap(ids: { agentTaskId: string; taskId: string; agentContextId: string; contextId: string }): IdMap { throw new Error("unbuilt"); }
/** A stream payload (or send result) of the agent in public form. */
export function toPublic(dialect: Dialect, payload: string, map: IdMap): string { throw new Error("unbuilt"); }
/** A bare Task of the agent in public form. */
export function taskToPublic(dialect: Dialect, task: string, map: IdMap): string { throw new Error("unbuilt"); }
/** The result of a push config call in public form. */
export function pushToPublic(dialect: Dialect, result: string, map: IdMap): string { throw new Error("unbuilt"); }
/** Params of a call in the agent's ids. */
export function toAgent(dialect: Dialect, operation: Operation, params: string, map: IdMap): string { throw new Error("unbuilt"); }
