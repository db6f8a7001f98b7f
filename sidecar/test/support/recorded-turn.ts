/** A turn whose attempts break off one after the other, recorded as its owners would; and the events of its agents. */
import { AttemptArtifacts, type BrokenTurn, blankEvents, turnArtifactIds } from "../../src/domain/attempt-artifacts.ts";
import { BLANKED_KEY } from "../../src/domain/blanked-artifact.ts";
import { differenceFrom } from "../../src/domain/difference.ts";
import { type Fold, foldEvent, rebuildFold, taskText } from "../../src/domain/fold.ts";
import type { NewEvent } from "../../src/ports/task-store.ts";
import type { Dialect } from "../../src/protocol/dialect.ts";
import { artifactPayload, eventBody, statusPayload, wrapTask } from "../../src/protocol/events.ts";
import { quote } from "../../src/protocol/raw-json.ts";
import type { ClientArtifact, ClientTask } from "./client-folds.ts";
import { ids } from "./task-events.ts";

const wireState = (dialect: Dialect, state: string) =>
  dialect === "1.0" ? `TASK_STATE_${state.toUpperCase()}` : state;

/** A raw text Part. */
export const part = (dialect: Dialect, text: string) =>
  dialect === "1.0" ? `{"text":${quote(text)}}` : `{"kind":"text","text":${quote(text)}}`;
/** A raw Artifact with a part of each text. */
export const artifact = (dialect: Dialect, id: string, ...texts: string[]) =>
  `{"artifactId":${quote(id)},"name":${quote(`name of ${texts[0] ?? id}`)},"parts":[${texts.map((text) => part(dialect, text)).join(",")}]}`;
/** A raw working Task. */
export const task = (dialect: Dialect, ...artifacts: string[]) =>
  `{${dialect === "0.3" ? '"kind":"task",' : ""}"id":"T","contextId":"C","status":{"state":"${wireState(dialect, "working")}"},"artifacts":[${artifacts.join(",")}]}`;
/** Events of the task {@link ids}. */
export const taskEvent = (dialect: Dialect, ...artifacts: string[]): NewEvent => ({
  kind: "task",
  payload: wrapTask(dialect, task(dialect, ...artifacts)),
  hidden: null,
});
export const chunk = (dialect: Dialect, text: string, append = false): NewEvent => ({
  kind: "artifact",
  payload: artifactPayload(dialect, { ...ids, artifact: text, append }),
  hidden: null,
});
export const status = (dialect: Dialect, state: "working" | "completed"): NewEvent => ({
  kind: "status",
  payload: statusPayload(dialect, { ...ids, state, timestamp: "2026-11-20T10:00:00.000Z", final: state !== "working" }),
  hidden: null,
});

/** A turn whose attempts all break but the last, recorded as its owners would. */
export class RecordedTurn {
  readonly dialect: Dialect;
  readonly fold: Fold;
  readonly before: Fold | null;
  /** All events of the task, and those of the turn. */
  readonly all: NewEvent[];
  readonly rows: NewEvent[] = [];
  #artifacts: AttemptArtifacts | null = null;

  constructor(dialect: Dialect, earlier: NewEvent[] = []) {
    this.dialect = dialect;
    this.all = [...earlier];
    this.fold = rebuildFold(dialect, null, ids, earlier);
    this.before = earlier.length === 0 ? null : rebuildFold(dialect, null, ids, earlier);
  }

  get broken(): BrokenTurn {
    return { artifactIds: turnArtifactIds(this.dialect, this.rows), before: this.before };
  }

  /** What an agent emits, in the ids of this attempt. A Task after the first event enters by the difference rule. */
  emit(events: NewEvent[]): this {
    for (const event of events) {
      const { kind, body } = eventBody(this.dialect, event.payload);
      if (kind === "task" && this.all.length > 0) this.#record(this.difference(body));
      else this.#record([{ ...event, payload: this.#artifacts?.adopt(event.payload) ?? event.payload }]);
    }
    return this;
  }

  difference(agentTask: string): NewEvent[] {
    return differenceFrom(this.fold, this.#artifacts?.adoptTask(agentTask) ?? agentTask, { fresh: true });
  }

  breakOff(): this {
    const { broken } = this;
    this.#record([status(this.dialect, "working"), ...blankEvents(this.fold, broken)]);
    return this.reattach();
  }

  /** Another process goes on with the same run: it knows only the record. */
  reattach(): this {
    this.#artifacts = new AttemptArtifacts(this.fold, this.broken);
    return this;
  }

  /** What get shows. */
  get task(): ClientTask {
    return JSON.parse(taskText(this.fold)) as ClientTask;
  }

  shown(): Shown[] {
    return shownBy(this.task);
  }

  #record(events: NewEvent[]): void {
    for (const event of events) {
      foldEvent(this.fold, event);
      this.all.push(event);
      this.rows.push(event);
    }
  }
}

/** An artifact and the texts of its parts. */
export interface Shown {
  id: string;
  texts: string[];
}

/** Whether a client can tell that nothing has replaced the artifact of a broken attempt. */
export const isBlank = ({ metadata }: ClientArtifact) => metadata?.[BLANKED_KEY] === true;

/** The artifacts a client has that are not blank, without their names. */
export function shownBy(folded: ClientTask): Shown[] {
  return (folded.artifacts ?? [])
    .filter((entry) => !isBlank(entry))
    .map((entry) => ({ id: entry.artifactId, texts: entry.parts.map((one) => one.text ?? "") }));
}
