/** The recorders of the tasks this instance owns and is recording: at most one per task (I4). */
import type { TaskRecorder } from "./task-recorder.ts";

export class RecorderRegistry {
  readonly #recorders = new Map<string, TaskRecorder>();
  readonly #opening = new Map<string, Promise<TaskRecorder>>();

  get(taskId: string): TaskRecorder | null {
    return this.#recorders.get(taskId) ?? null;
  }

  /** The task's recorder, opened once however many ask at the same time. */
  async obtain(taskId: string, open: () => Promise<TaskRecorder>): Promise<TaskRecorder> {
    const held = this.#recorders.get(taskId);
    if (held) return held;
    let opening = this.#opening.get(taskId);
    if (!opening) {
      opening = open().finally(() => this.#opening.delete(taskId));
      this.#opening.set(taskId, opening);
    }
    const recorder = await opening;
    if (!recorder.lost) this.#recorders.set(taskId, recorder);
    return recorder;
  }

  /**
   * Gives up a recorder of an earlier epoch than the task's: it has been deposed, and its agent has been silent since, so
   * that no write has told it (P5).
   */
  dropOlder(taskId: string, epoch: number): void {
    const held = this.#recorders.get(taskId);
    if (held && held.epoch < epoch) held.abandon();
  }

  add(recorder: TaskRecorder): void {
    this.#recorders.set(recorder.taskId, recorder);
  }

  /** Forgets a recorder nobody uses any more; the next user reads the record again. */
  release(recorder: TaskRecorder): void {
    if (this.#recorders.get(recorder.taskId) === recorder) this.#recorders.delete(recorder.taskId);
  }

  all(): TaskRecorder[] {
    return [...this.#recorders.values()];
  }
}
