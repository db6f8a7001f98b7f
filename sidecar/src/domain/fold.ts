/**
 * The record is the fold: a task's state is what its events amount to, by the rules of the JavaScript SDK's result
 * manager. Parts, messages and metadata values are slices of what the agent sent and are never written anew, so what get
 * and list show is true to the byte. Folding costs the event alone, never the events before it; only {@link taskText}
 * costs the task.
 *
 * I3: folding a snapshot and the events after it gives the same text as folding all events.
 */
import type { NewEvent } from "../ports/task-store.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { eventBody, statusHead } from "../protocol/events.ts";
import { JsonObject } from "../protocol/json-object.ts";
import { elements, isArray, isObject, member, memberOf, members, quote, text } from "../protocol/raw-json.ts";
import { canonicalValue } from "../protocol/same-value.ts";
import { stateName } from "../protocol/states.ts";
import { artifactId, FoldedArtifact } from "./folded-artifact.ts";
import { isTerminal, type TaskState } from "./task-state.ts";

/** What a task's row repeats of its fold. `statusTimestamp` is the current status's own, normalised, or null. */
export interface FoldHead {
  state: TaskState;
  statusTimestamp: string | null;
  contextId: string;
  taskId: string;
}

/** A task as its events left it. Only {@link foldEvent} changes it. */
export interface Fold {
  readonly dialect: Dialect;
  head: FoldHead;
  /** Whether an event has said what the task is; until then the fold is a submitted task. */
  opened: boolean;
  /** The Task's members in their order. History and artifacts only hold their place here. */
  task: JsonObject;
  /** Raw Messages. */
  history: string[];
  /** Where a message stands in the history, by its identity. */
  messageIndex: Map<string, number>;
  artifacts: FoldedArtifact[];
  artifactIndex: Map<string, number>;
  /** Set once an event has merged metadata; before that the Task's own text counts. */
  metadata: JsonObject | null;
  /** Characters of history and artifacts. */
  held: number;
}

/** How much of a task to show. */
export interface TaskTextOptions {
  /**
   * How many of the last messages; null means all. Zero or less leaves the history out in 1.0 and means all in 0.3, as
   * in their SDKs.
   */
  historyLength?: number | null;
  /** False leaves the artifacts out altogether. Default true. */
  includeArtifacts?: boolean;
  /** True shows an empty list where there are no artifacts (A2A 1.0 §3.1.4, includeArtifacts). Default false. */
  emptyArtifacts?: boolean;
}

/** A fold from a Task: a snapshot, or the agent's own. */
export function openFold(dialect: Dialect, task: string): Fold {
  const fold = emptyFold(dialect, { taskId: text(member(task, "id")) ?? "", contextId: "" });
  openWith(fold, task, []);
  return fold;
}

/** A fold before its first event. A task whose first event is no Task (Python 0.3) is submitted until a status comes. */
export function emptyFold(dialect: Dialect, ids: { taskId: string; contextId: string }): Fold {
  const task = new JsonObject();
  if (dialect === "0.3") task.set("kind", `"task"`);
  task.set("id", quote(ids.taskId));
  if (ids.contextId !== "") task.set("contextId", quote(ids.contextId));
  task.set("status", `{"state":${quote(stateName(dialect, "submitted"))}}`);
  return {
    dialect,
    head: { state: "submitted", statusTimestamp: null, contextId: ids.contextId, taskId: ids.taskId },
    opened: false,
    task,
    history: [],
    messageIndex: new Map(),
    artifacts: [],
    artifactIndex: new Map(),
    metadata: null,
    held: 0,
  };
}

/** A fold from what is stored: the snapshot, if there is one, and the events after it. */
export function rebuildFold(
  dialect: Dialect,
  snapshot: string | null,
  ids: { taskId: string; contextId: string },
  tail: Iterable<NewEvent>,
): Fold {
  const fold = emptyFold(dialect, ids);
  if (snapshot !== null) openWith(fold, snapshot, []);
  for (const event of tail) foldEvent(fold, event);
  return fold;
}

/**
 * Applies one event. `ignored`: the task is finished and nothing changes it any more (P6). Hidden messages that the
 * history lacks enter it: at its beginning with the Task that opens it, else at its end.
 */
export function foldEvent(fold: Fold, event: NewEvent): "folded" | "ignored" {
  if (isTerminal(fold.head.state)) return "ignored";
  const hidden = event.hidden === null ? [] : elements(event.hidden);
  const { kind, body } = eventBody(fold.dialect, event.payload);
  if (event.kind === "task" && kind === "task" && !fold.opened) {
    openWith(fold, body, hidden);
    return "folded";
  }
  if (event.kind === "task" && kind === "task") mergeTask(fold, body);
  for (const message of hidden) addMessage(fold, message);
  if (event.kind === "status" && kind === "status") foldStatus(fold, body);
  if (event.kind === "artifact" && kind === "artifact") foldArtifact(fold, body);
  return "folded";
}

/**
 * The bare Task as it is shown, with the members in the order in which the agent first gave them. Artifacts that are blank
 * since their attempt broke off are left out. What is stored is {@link snapshotText}.
 */
export function taskText(fold: Fold, options: TaskTextOptions = {}): string {
  const included = options.includeArtifacts !== false;
  const artifacts = included ? fold.artifacts.filter((artifact) => !artifact.blanked) : [];
  const written = writtenTask(fold, {
    history: (value) => historyText(fold, value, options.historyLength ?? null),
    artifacts: (value) => {
      if (!included) return null;
      if (artifacts.length === 0 && fold.artifacts.length > 0) return options.emptyArtifacts === true ? "[]" : null;
      return artifactsText(artifacts, value);
    },
  });
  if (options.emptyArtifacts !== true || !included || fold.task.has("artifacts")) return written;
  return `${written.slice(0, -1)},"artifacts":[]}`;
}

/** The bare Task with everything the fold holds: {@link rebuildFold} gives the same fold from it and the events after it. */
export function snapshotText(fold: Fold): string {
  return writtenTask(fold, {
    history: (value) => historyText(fold, value, null),
    artifacts: (value) => artifactsText(fold.artifacts, value),
  });
}

/** State, status timestamp and ids. */
export function foldHead(fold: Fold): FoldHead {
  return { ...fold.head };
}

/** Characters that {@link taskText} would give, about; costs nothing. */
export function foldSize(fold: Fold): number {
  return fold.task.length + fold.held + (fold.metadata?.length ?? 0);
}

/** The ids of the task's artifacts, in order. */
export function artifactIds(fold: Fold): string[] {
  return fold.artifacts.map((artifact) => artifact.id);
}

/** The artifact of an id, undefined where the task has none. */
export function artifactOf(fold: Fold, id: string): FoldedArtifact | undefined {
  const index = fold.artifactIndex.get(id);
  return index === undefined ? undefined : fold.artifacts[index];
}

/** Whether the history has the message, by its `messageId`, or by its value where it has none. */
export function hasMessage(fold: Fold, message: string): boolean {
  return fold.messageIndex.has(messageKey(message));
}

/** Whether the Task shows metadata, be they empty. */
export function hasMetadata(fold: Fold): boolean {
  return fold.task.has("metadata");
}

/** The raw value of one key of the Task's metadata. */
export function metadataValue(fold: Fold, key: string): string | undefined {
  if (fold.metadata !== null) return fold.metadata.get(key);
  const metadata = fold.task.get("metadata");
  return isObject(metadata) ? member(metadata, key) : undefined;
}

/** The raw TaskStatus; undefined where the agent's Task had none. */
export function statusText(fold: Fold): string | undefined {
  return fold.task.get("status");
}

/** What tells a message from others. */
export function messageKey(message: string): string {
  const id = text(member(message, "messageId"));
  // A key that no id can be: ids hold no control characters.
  return id === undefined || id === "" ? `\u0000${canonicalValue(message)}` : id;
}

/** Takes the Task as it is; messages folded before it and hidden ones go before its own where it lacks them. */
function openWith(fold: Fold, task: string, hidden: string[]): void {
  const earlier = [...fold.history, ...hidden];
  fold.opened = true;
  fold.task = JsonObject.parse(task);
  fold.history = [];
  fold.messageIndex = new Map();
  fold.held = 0;
  const contextId = text(fold.task.get("contextId"));
  if (contextId) fold.head.contextId = contextId;
  readStatus(fold);
  const own = arrayMember(fold, "history");
  const ownKeys = new Set(own.map(messageKey));
  for (const message of earlier) if (!ownKeys.has(messageKey(message))) addMessage(fold, message);
  for (const message of own) pushMessage(fold, message);
  for (const artifact of arrayMember(fold, "artifacts")) pushArtifact(fold, artifact);
}

/** A later Task: its status, artifacts, messages and metadata enter; nothing it lacks is removed. */
function mergeTask(fold: Fold, task: string): void {
  for (const [key, value] of JsonObject.parse(task).entries()) {
    if (key === "history") {
      for (const message of elements(value)) putMessage(fold, message);
    } else if (key === "artifacts") {
      for (const artifact of elements(value)) putArtifact(fold, artifact);
    } else if (key === "metadata") {
      mergeMetadata(fold, value);
    } else {
      fold.task.set(key, value);
    }
  }
  readStatus(fold);
}

function foldStatus(fold: Fold, update: string): void {
  fold.opened = true;
  const event = members(update);
  const status = memberOf(event, "status");
  if (isObject(status)) {
    fold.task.set("status", status);
    readStatus(fold);
    const message = member(status, "message");
    if (isObject(message)) addMessage(fold, message);
  }
  mergeMetadata(fold, memberOf(event, "metadata"));
}

function foldArtifact(fold: Fold, update: string): void {
  fold.opened = true;
  const event = members(update);
  const artifact = memberOf(event, "artifact");
  if (isObject(artifact)) {
    const known = memberOf(event, "append") === "true" ? artifactOf(fold, artifactId(artifact)) : undefined;
    if (known === undefined) putArtifact(fold, artifact);
    else {
      fold.held -= known.length;
      known.append(artifact);
      fold.held += known.length;
    }
  }
  mergeMetadata(fold, memberOf(event, "metadata"));
}

function readStatus(fold: Fold): void {
  const { state, timestamp } = statusHead(fold.dialect, fold.task.get("status"));
  fold.head.state = state;
  fold.head.statusTimestamp = timestamp;
}

function mergeMetadata(fold: Fold, metadata: string | undefined): void {
  if (!isObject(metadata)) return;
  if (fold.metadata === null) {
    const known = fold.task.get("metadata");
    fold.metadata = JsonObject.parse(isObject(known) ? known : undefined);
    fold.task.set("metadata", "{}");
  }
  fold.metadata.merge(metadata);
}

/** Adds the message at the end unless the history has it. */
function addMessage(fold: Fold, message: string): void {
  if (!hasMessage(fold, message)) pushMessage(fold, message);
}

/** Replaces the message of the same identity where it stands, else adds it at the end. */
function putMessage(fold: Fold, message: string): void {
  const index = fold.messageIndex.get(messageKey(message));
  if (index === undefined) {
    pushMessage(fold, message);
    return;
  }
  fold.held += message.length - (fold.history[index]?.length ?? 0);
  fold.history[index] = message;
}

function pushMessage(fold: Fold, message: string): void {
  if (!isArray(fold.task.get("history"))) fold.task.set("history", "[]");
  fold.messageIndex.set(messageKey(message), fold.history.length);
  fold.history.push(message);
  fold.held += message.length + 1;
}

function putArtifact(fold: Fold, artifact: string): void {
  const index = fold.artifactIndex.get(artifactId(artifact));
  if (index === undefined) {
    pushArtifact(fold, artifact);
    return;
  }
  fold.held += artifact.length - (fold.artifacts[index]?.length ?? 0);
  fold.artifacts[index] = new FoldedArtifact(artifact);
}

function pushArtifact(fold: Fold, artifact: string): void {
  if (!isArray(fold.task.get("artifacts"))) fold.task.set("artifacts", "[]");
  const folded = new FoldedArtifact(artifact);
  fold.artifactIndex.set(folded.id, fold.artifacts.length);
  fold.artifacts.push(folded);
  fold.held += folded.length + 1;
}

/** The elements of one of the Task's lists, whose text then only holds their place. */
function arrayMember(fold: Fold, key: string): string[] {
  const list = fold.task.get(key);
  if (!isArray(list)) return [];
  fold.task.set(key, "[]");
  return elements(list);
}

/** The Task with its lists written in by `lists`, which get what held their place and may leave them out. */
function writtenTask(fold: Fold, lists: Record<"history" | "artifacts", (value: string) => string | null>): string {
  return fold.task.text((key, value) => {
    if (key === "history" || key === "artifacts") return lists[key](value);
    return key === "metadata" && fold.metadata !== null ? fold.metadata.text() : value;
  });
}

function artifactsText(artifacts: readonly FoldedArtifact[], placeholder: string): string {
  return artifacts.length === 0 ? placeholder : `[${artifacts.map((artifact) => artifact.text()).join(",")}]`;
}

function historyText(fold: Fold, placeholder: string, limit: number | null): string | null {
  if (limit !== null && limit <= 0 && fold.dialect === "1.0") return null;
  if (fold.history.length === 0) return placeholder;
  const shown = limit === null || limit <= 0 ? fold.history : fold.history.slice(-limit);
  return `[${shown.join(",")}]`;
}
