import type { Dialect } from "./dialect.ts";
export type Operation =
  | "send" | "stream" | "get" | "list" | "cancel" | "subscribe"
  | "push-set" | "push-get" | "push-list" | "push-delete" | "extended-card";
export function operationOf(method: string): { dialect: Dialect; operation: Operation } | undefined { throw new Error("unbuilt"); }
export function methodName(dialect: Dialect, operation: Operation): string | undefined { throw new Error("unbuilt"); }
