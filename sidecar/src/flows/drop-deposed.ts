/**
 * Finds out which recorders were deposed while their agent is silent: no write of theirs will tell them, but the run goes
 * on at the agent here, and who waits for it here waits for ever (P5, I5).
 */
import type { FlowContext } from "./flow-context.ts";
import type { TaskRecorder } from "./task-recorder.ts";

/** Looks at the recorders that have been quiet since the last look; the others learn of it by themselves. */
export class DeposedWatch {
  readonly #seen = new WeakMap<TaskRecorder, number>();

  async look(context: FlowContext): Promise<void> {
    const quiet = new Map<string, TaskRecorder>();
    for (const recorder of context.recorders.all()) {
      if (this.#seen.get(recorder) === recorder.generation) quiet.set(recorder.taskId, recorder);
      else this.#seen.set(recorder, recorder.generation);
    }
    if (quiet.size === 0) return;
    for (const { taskId, generation } of await context.store.readPositions([...quiet.keys()])) {
      const recorder = quiet.get(taskId);
      // A recorder runs ahead of the record: what is beyond it was written by somebody else.
      if (recorder && generation > recorder.generation) recorder.abandon();
    }
  }
}
