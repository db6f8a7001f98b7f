import type { TaskState } from "../domain/task-state.ts";

/** Outcome of one call, a closed set (I9). */
export type CallOutcome = "ok" | "rpc-error" | "unavailable" | "pass-through" | "internal";

export interface MetricsSources {
  /** SSE subscribers open at this moment. */
  subscribers?: () => number;
  /** Asked at most every `countsMaxAgeMs` (default 15 s) when scraped; a failure leaves the last values. */
  countTasks?: () => Promise<{ state: TaskState; count: number }[]>;
  countsMaxAgeMs?: number;
  monotonicMs: () => number;
}

export interface Metrics {
  /** `method` is a JSON-RPC method; unknown ones are counted as "other" (I9). */
  call(method: string | null, outcome: CallOutcome, seconds: number): void;
  eventsRecorded(count: number): void;
  commit(seconds: number, writes: number): void;
  relayed(seconds: number): void;
  gapFilled(): void;
  grpcInterfaces(count: number): void;
  cardSignaturesDropped(): void;
  /** Prometheus text format. */
  render(): Promise<{ contentType: string; body: string }>;
}

export function createMetrics(_sources: MetricsSources): Metrics {
  throw new Error("unbuilt");
}
