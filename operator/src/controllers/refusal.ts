/** Writes that the API server will not take before somebody changes something. */
import { ClusterError } from "../ports/cluster.ts";
import type { Action, Refusal } from "../reconcile/world.ts";

/** Longer ones are cut, as in Events. */
const longestMessage = 1_000;

/**
 * What to tell about a write that failed; undefined: trying again may help. A write of the status cannot be told about. The
 * first message stays while the same write is refused: one that differs every time would be news every time.
 */
export function findRefusal(action: Action, error: unknown, before: Refusal | undefined): Refusal | undefined {
  if (!(error instanceof ClusterError) || action.kind === "writeStatus") return undefined;
  if (error.fault !== "forbidden" && error.fault !== "invalid") return undefined;
  if (before?.action === action.kind) return before;
  // What is said of an invalid object may quote it.
  const quotes = action.kind === "writeSecret" && error.fault === "invalid";
  const message = quotes ? "the API server does not take the DurableAgent's Secret" : error.message;
  return { action: action.kind, message: message.slice(0, longestMessage) };
}
