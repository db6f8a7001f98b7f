import { type Fold, rebuildFold } from "../domain/fold.ts";
import type { TaskView } from "../ports/task-store.ts";

/** The fold a view stands for (I3). */
export function foldOf(view: TaskView): Fold {
  return rebuildFold(view.task.dialect, view.snapshot?.task ?? null, view.task, view.tail);
}
