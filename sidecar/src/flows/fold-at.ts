/** The Task as it stood at a generation that later events have left behind. */
import { emptyFold, type Fold, foldEvent } from "../domain/fold.ts";
import type { TaskRow } from "../ports/task-store.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";

const PAGE_ROWS = 512;
const PAGE_BYTES = 1024 * 1024;

/** Folds the events up to `generation` from the log (I3): costs those events, so it is for the rare look back only. */
export async function foldAt(context: FlowContext, task: TaskRow, generation: number): Promise<Fold> {
  const fold = emptyFold(task.dialect, task);
  for (let after = 0; after < generation; ) {
    const limit = Math.min(PAGE_ROWS, generation - after);
    const page = await retryStore(context, () => context.store.readEvents(task.taskId, after, limit, PAGE_BYTES));
    for (const event of page) foldEvent(fold, event);
    const last = page.at(-1);
    if (!last) break;
    after = last.generation;
  }
  return fold;
}
