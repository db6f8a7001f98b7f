/**
 * What an agent emits, read only as far as the record needs it. The payload stays the agent's text: everything here is a
 * slice of it. The stream form of a result is 1.0's StreamResponse (`{"task":…}`) and 0.3's bare object with `kind`.
 */
import type { TaskState } from "../domain/task-state.ts";
import type { Dialect } from "./dialect.ts";
import { isUsableId } from "./ids.ts";
import { isObject, member, members, memberOf, oneLine, quote, type RawMember, setMember, text } from "./raw-json.ts";
import { normalTimestamp, parseState, stateName } from "./states.ts";

/** A whole Task. `payload` is its stream form, `task` the bare Task. `timestamp` is normalised, null when unreadable. */
export interface TaskEventView {
  kind: "task";
  taskId: string;
  contextId: string;
  state: TaskState;
  timestamp: string | null;
  payload: string;
  task: string;
}

/** A Message in place of a Task. Its ids are optional. */
export interface MessageEventView {
  kind: "message";
  messageId: string | null;
  taskId: string | null;
  contextId: string | null;
  payload: string;
  message: string;
}

/** A TaskStatusUpdateEvent. `final` is 0.3's member, false in 1.0, which has none. */
export interface StatusEventView {
  kind: "status";
  taskId: string;
  contextId: string;
  state: TaskState;
  timestamp: string | null;
  final: boolean;
  payload: string;
}

/** A TaskArtifactUpdateEvent. */
export interface ArtifactEventView {
  kind: "artifact";
  taskId: string;
  contextId: string;
  payload: string;
}

/** A result that is no A2A event of the dialect, or one that names no usable task id: relayed, never folded. */
export interface OtherEventView {
  kind: "other";
  payload: string;
}

export type A2aEvent = TaskEventView | MessageEventView | StatusEventView | ArtifactEventView | OtherEventView;

/** The inner object of a payload: what 1.0 wraps and 0.3 leaves bare. */
export interface EventBody {
  kind: "task" | "message" | "status" | "artifact" | "other";
  /** Raw inner object; the payload itself for `other`. */
  body: string;
}

const wrappers10 = [
  ["task", "task"],
  ["message", "message"],
  ["statusUpdate", "status"],
  ["artifactUpdate", "artifact"],
] as const;
const kinds03 = {
  task: "task",
  message: "message",
  "status-update": "status",
  "artifact-update": "artifact",
} as const;

/** Tells what a stream payload is without looking further into it. */
export function eventBody(dialect: Dialect, payload: string): EventBody {
  const list = members(payload);
  if (dialect === "1.0") {
    for (const [name, kind] of wrappers10) {
      const body = memberOf(list, name);
      if (isObject(body)) return { kind, body };
    }
    return { kind: "other", body: payload };
  }
  const kind = text(memberOf(list, "kind"));
  if (kind === undefined || !Object.hasOwn(kinds03, kind)) return { kind: "other", body: payload };
  return { kind: kinds03[kind as keyof typeof kinds03], body: payload };
}

/** Reads one stream result. The text must be JSON; the view's payload is that text on one line. */
export function parseEvent(dialect: Dialect, payload: string): A2aEvent {
  const line = oneLine(payload);
  const { kind, body } = eventBody(dialect, line);
  if (kind === "task") return taskView(dialect, line, body);
  if (kind === "message") return messageView(line, body);
  if (kind === "other") return { kind, payload: line };
  const list = members(body);
  const ids = eventIds(list);
  if (ids === undefined) return { kind: "other", payload: line };
  if (kind === "artifact") return { kind, ...ids, payload: line };
  const final = dialect === "0.3" && memberOf(list, "final") === "true";
  return { kind, ...ids, ...statusHead(dialect, memberOf(list, "status")), final, payload: line };
}

/** Reads the result of a unary send: a Task or a Message, in the same form as on a stream. */
export function parseSendResult(dialect: Dialect, result: string): A2aEvent {
  const event = parseEvent(dialect, result);
  if (event.kind === "status" || event.kind === "artifact") return { kind: "other", payload: event.payload };
  return event;
}

/** Reads the bare Task of get, cancel and list; `other` when it is none. */
export function parseTask(dialect: Dialect, task: string): TaskEventView | OtherEventView {
  const line = oneLine(task);
  if (!isObject(line)) return { kind: "other", payload: line };
  if (dialect === "0.3" && text(member(line, "kind")) !== "task") return { kind: "other", payload: line };
  return taskView(dialect, wrapTask(dialect, line), line);
}

/** The stream form of a bare Task. */
export function wrapTask(dialect: Dialect, task: string): string {
  return dialect === "1.0" ? `{"task":${task}}` : task;
}

/** The stream form of a bare Message. */
export function wrapMessage(dialect: Dialect, message: string): string {
  return dialect === "1.0" ? `{"message":${message}}` : message;
}

/** State and normalised timestamp of a raw TaskStatus. A state the dialect does not know is `unknown`. */
export function statusHead(
  dialect: Dialect,
  status: string | undefined,
): { state: TaskState; timestamp: string | null } {
  if (!isObject(status)) return { state: "unknown", timestamp: null };
  const list = members(status);
  return {
    state: parseState(dialect, text(memberOf(list, "state"))) ?? "unknown",
    timestamp: normalTimestamp(text(memberOf(list, "timestamp"))),
  };
}

/** A status update written by the sidecar. `message` is text for a fresh Message or a raw Message. */
export interface StatusUpdate {
  taskId: string;
  contextId: string;
  state: TaskState;
  /** ISO 8601, UTC. */
  timestamp: string;
  message?: { messageId: string; text: string } | string;
  /** Raw object. */
  metadata?: string;
  final: boolean;
}

/** The payload of a status update. */
export function statusPayload(dialect: Dialect, update: StatusUpdate): string {
  const fields = [`"state":${quote(stateName(dialect, update.state))}`];
  if (update.message !== undefined) {
    const message = typeof update.message === "string" ? update.message : agentMessage(dialect, update, update.message);
    fields.push(`"message":${message}`);
  }
  fields.push(`"timestamp":${quote(update.timestamp)}`);
  return statusPayloadOf(dialect, { ...update, status: `{${fields.join(",")}}` });
}

/** The payload of a status update around a raw TaskStatus. */
export function statusPayloadOf(
  dialect: Dialect,
  update: { taskId: string; contextId: string; status: string; metadata?: string; final: boolean },
): string {
  const ids = `"taskId":${quote(update.taskId)},"contextId":${quote(update.contextId)}`;
  const metadata = update.metadata === undefined ? "" : `,"metadata":${update.metadata}`;
  if (dialect === "1.0") return `{"statusUpdate":{${ids},"status":${update.status}${metadata}}}`;
  return `{"kind":"status-update",${ids},"status":${update.status},"final":${update.final}${metadata}}`;
}

/** An artifact update written by the sidecar. `artifact` is the raw Artifact. */
export interface ArtifactUpdate {
  taskId: string;
  contextId: string;
  artifact: string;
  append: boolean;
  lastChunk?: boolean;
}

/** The payload of an artifact update. 1.0 leaves out false, as ProtoJSON does; 0.3 always says `append`. */
export function artifactPayload(dialect: Dialect, update: ArtifactUpdate): string {
  const head = `"taskId":${quote(update.taskId)},"contextId":${quote(update.contextId)},"artifact":${update.artifact}`;
  if (dialect === "1.0") {
    const append = update.append ? `,"append":true` : "";
    const lastChunk = update.lastChunk === true ? `,"lastChunk":true` : "";
    return `{"artifactUpdate":{${head}${append}${lastChunk}}}`;
  }
  const lastChunk = update.lastChunk === undefined ? "" : `,"lastChunk":${update.lastChunk}`;
  return `{"kind":"artifact-update",${head},"append":${update.append}${lastChunk}}`;
}

/** A 0.3 status update with its `final` set: true belongs on the event after which the stream closes. Others unchanged. */
export function withFinal(payload03: string, final: boolean): string {
  const list = members(payload03);
  if (text(memberOf(list, "kind")) !== "status-update") return payload03;
  const value = memberOf(list, "final");
  if (value === String(final)) return payload03;
  return setMember(payload03, "final", String(final));
}

function taskView(dialect: Dialect, payload: string, task: string): TaskEventView | OtherEventView {
  const list = members(task);
  const ids = idsOf(memberOf(list, "id"), memberOf(list, "contextId"));
  if (ids === undefined) return { kind: "other", payload };
  return { kind: "task", ...ids, ...statusHead(dialect, memberOf(list, "status")), payload, task };
}

function messageView(payload: string, message: string): MessageEventView {
  const list = members(message);
  return {
    kind: "message",
    messageId: text(memberOf(list, "messageId")) || null,
    taskId: text(memberOf(list, "taskId")) || null,
    contextId: text(memberOf(list, "contextId")) || null,
    payload,
    message,
  };
}

function eventIds(list: readonly RawMember[]): { taskId: string; contextId: string } | undefined {
  return idsOf(memberOf(list, "taskId"), memberOf(list, "contextId"));
}

/** A context id may be missing (ProtoJSON leaves out the empty string); a task without a usable id cannot be recorded. */
function idsOf(
  rawTaskId: string | undefined,
  rawContextId: string | undefined,
): { taskId: string; contextId: string } | undefined {
  const taskId = text(rawTaskId);
  const contextId = text(rawContextId) ?? "";
  if (taskId === undefined || !isUsableId(taskId) || (contextId !== "" && !isUsableId(contextId))) return undefined;
  return { taskId, contextId };
}

function agentMessage(
  dialect: Dialect,
  ids: { taskId: string; contextId: string },
  message: { messageId: string; text: string },
): string {
  const common = `"messageId":${quote(message.messageId)},"contextId":${quote(ids.contextId)},"taskId":${quote(ids.taskId)}`;
  if (dialect === "1.0") return `{${common},"role":"ROLE_AGENT","parts":[{"text":${quote(message.text)}}]}`;
  return `{"kind":"message",${common},"role":"agent","parts":[{"kind":"text","text":${quote(message.text)}}]}`;
}
