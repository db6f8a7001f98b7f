/** One task of the raw agent: what it has emitted so far, folded as text, and who listens. */
import { randomUUID } from "node:crypto";
import type { AgentTaskState } from "../behaviours.ts";
import type { RawArtifact, RawTaskView } from "./wording.ts";
import type { Wording } from "./wording.ts";
import type { Script } from "./script.ts";

/** Gets each event's `result` text; a returned promise slows the execution down to the listener's socket. */
export type EventListener = (rawResult: string) => Promise<void> | undefined;

const TERMINAL: ReadonlySet<AgentTaskState> = new Set(["completed", "failed", "canceled", "rejected"]);

export class RawTask {
  readonly id: string;
  readonly contextId: string;
  readonly words: Wording;
  readonly script: Script;
  readonly cancelled = new AbortController();
  readonly #listeners = new Set<EventListener>();
  readonly #artifacts = new Map<string, RawArtifact>();
  readonly #history: string[] = [];
  #state: AgentTaskState = "submitted";
  #rawStatus: string;
  /** The execution that is going on; settled when none is. */
  #execution: Promise<void> = Promise.resolve();
  #executing = false;

  constructor(place: { id: string; contextId: string }, words: Wording, script: Script) {
    this.id = place.id;
    this.contextId = place.contextId;
    this.words = words;
    this.script = script;
    this.#rawStatus = words.status("submitted");
  }

  get state(): AgentTaskState {
    return this.#state;
  }

  get terminal(): boolean {
    return TERMINAL.has(this.#state);
  }

  get executing(): boolean {
    return this.#executing;
  }

  /** Settles when the execution that is going on has ended. */
  get execution(): Promise<void> {
    return this.#execution;
  }

  execute(work: (task: RawTask) => Promise<void>): void {
    this.#executing = true;
    this.#execution = work(this).finally(() => {
      this.#executing = false;
    });
  }

  addUserMessage(rawMessage: string): void {
    this.#history.push(rawMessage);
  }

  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A bare Task as of this moment. `historyLength` null = all of it, 0 = without the member. */
  taskText(historyLength: number | null = null, includeArtifacts = true): string {
    const history = historyLength === null ? this.#history : this.#history.slice(-historyLength);
    return this.words.task(this.#view(includeArtifacts), historyLength === 0 ? null : history);
  }

  emitTask(): Promise<void> | undefined {
    return this.#emit(this.words.taskResult(this.taskText()));
  }

  emitStatus(state: AgentTaskState, text?: string): Promise<void> | undefined {
    if (this.terminal) return undefined;
    const place = { taskId: this.id, contextId: this.contextId };
    const rawMessage = text === undefined ? undefined : this.words.agentMessage(randomUUID(), text, place);
    if (rawMessage !== undefined) this.#history.push(rawMessage);
    this.#state = state;
    this.#rawStatus = this.words.status(state, rawMessage);
    const final = TERMINAL.has(state) || state === "input-required";
    return this.#emit(this.words.statusResult(place, this.#rawStatus, final));
  }

  emitChunk(rawPart: string, flags: { append: boolean; lastChunk: boolean }): Promise<void> | undefined {
    const place = { taskId: this.id, contextId: this.contextId };
    const chunk = { id: "numbers", name: "numbers", rawParts: [rawPart] };
    const known = this.#artifacts.get(chunk.id);
    if (known !== undefined && flags.append) known.rawParts.push(rawPart);
    else this.#artifacts.set(chunk.id, { ...chunk, rawParts: [rawPart] });
    return this.#emit(this.words.artifactResult(place, chunk, flags));
  }

  #emit(rawResult: string): Promise<void> | undefined {
    const waits = [...this.#listeners].map((listener) => listener(rawResult)).filter((wait) => wait !== undefined);
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  #view(includeArtifacts: boolean): RawTaskView {
    return {
      id: this.id,
      contextId: this.contextId,
      rawStatus: this.#rawStatus,
      rawHistory: this.#history,
      artifacts: includeArtifacts ? [...this.#artifacts.values()] : [],
    };
  }
}
