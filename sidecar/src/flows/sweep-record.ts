/** Lets finished tasks leave after their retention (P12). Every instance sweeps; the statements skip what another one holds. */
import type { FlowContext } from "./flow-context.ts";

const INTERVAL_MS = 60_000;
const BATCH = 500;

export interface SweepDeps {
  retentionSeconds: number;
  onSwept: (kind: "tasks" | "turns" | "instances", count: number) => void;
}

/** Sweeps until the signal aborts; an outage of the store only delays it. */
export async function sweepRecord(context: FlowContext, deps: SweepDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // Spread over the interval, so that the replicas do not all sweep at the same moment.
    await context.clock.sleep(INTERVAL_MS * (0.5 + context.random()), signal);
    try {
      while (!signal.aborted && (await sweepBatch(context, deps))) {}
    } catch (error) {
      context.log.warn({ err: error }, "sweep failed, repeated later");
    }
  }
}

/** One bounded batch; whether there may be more. */
async function sweepBatch(context: FlowContext, deps: SweepDeps): Promise<boolean> {
  const swept = await context.recovery.sweep(deps.retentionSeconds, BATCH);
  for (const kind of ["tasks", "turns", "instances"] as const) if (swept[kind] > 0) deps.onSwept(kind, swept[kind]);
  return swept.tasks >= BATCH || swept.turns >= BATCH;
}
