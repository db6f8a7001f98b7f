/**
 * Taking a row by compare-and-set although the reply may be lost. The server brings a statement to its end whose connection
 * was cut: a repetition may wait behind it and then find that the row is taken, by this very instance. Such a row is looked
 * at once more, by a statement of its own, which sees what the one that waited could not.
 */
import { StoreError } from "../ports/task-store.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";

/**
 * What `take` gives; where it gives null after a try of unknown outcome, what `find` says is ours. `find` must recognise
 * only what nobody but this call can have taken for this instance.
 */
export async function takeOnce<T>(
  context: FlowContext,
  { take, find }: { take: () => Promise<T | null>; find: () => Promise<T | null> },
): Promise<T | null> {
  let doubtful = false;
  return retryStore(context, async () => {
    try {
      const taken = await take();
      if (taken !== null || !doubtful) return taken;
    } catch (error) {
      doubtful ||= error instanceof StoreError && error.kind === "unknown-outcome";
      throw error;
    }
    return find();
  });
}
