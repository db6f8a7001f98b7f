/** The executions alive in this process, so that a cancel call finds the one it means. */
import { logCancel } from "./agent-process.ts";

export class Executions {
  readonly #running = new Map<string, AbortController>();
  /** The context of every task ever seen here: a cancel call brings the task id alone. */
  readonly #contexts = new Map<string, string>();

  /** The signal aborts when {@link cancel} names the task. Call `end` when the execution is over. */
  begin(taskId: string, contextId: string): { cancelled: AbortSignal; end: () => void } {
    const controller = new AbortController();
    this.#running.set(taskId, controller);
    this.#contexts.set(taskId, contextId);
    const end = () => {
      if (this.#running.get(taskId) === controller) this.#running.delete(taskId);
    };
    return { cancelled: controller.signal, end };
  }

  /** `stopping`: the execution will publish the end itself. `idle`: nobody runs, the caller has to. */
  cancel(taskId: string): { kind: "stopping" } | { kind: "idle"; contextId: string } {
    logCancel(taskId);
    const controller = this.#running.get(taskId);
    if (controller === undefined) return { kind: "idle", contextId: this.#contexts.get(taskId) ?? "" };
    controller.abort();
    return { kind: "stopping" };
  }
}
