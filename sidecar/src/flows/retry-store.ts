/** Store calls of running work, which wait for Postgres to come back instead of failing (P11). */
import { StoreError } from "../ports/task-store.ts";
import type { FlowContext } from "./flow-context.ts";

const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 1000;

/**
 * Repeats an idempotent or compare-and-set call until the store has answered. A call whose outcome is unknown is
 * repeated too: the caller must read "somebody has done it" as possibly itself.
 */
export async function retryStore<T>(
  context: FlowContext,
  call: () => Promise<T>,
  deadlineMs = Number.POSITIVE_INFINITY,
): Promise<T> {
  const startedMs = context.clock.monotonicMs();
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, MAX_DELAY_MS)) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind === "rejected") throw error;
      if (context.clock.monotonicMs() - startedMs + delayMs > deadlineMs) throw error;
      context.log.warn({ kind: error.kind, reason: error.message }, "store did not answer, asking again");
      if (error.kind !== "conflict") await context.clock.sleep(delayMs);
    }
  }
}
