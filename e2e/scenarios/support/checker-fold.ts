/**
 * What a task amounts to after some of its events, by the JavaScript SDK's rules (A2A leaves the merging to servers),
 * written a second time and in the plainest way: over parsed values, from the first event on, every time.
 */
import type { Dialect } from "./checker-wire.ts";
import { isTerminalState, plainState } from "./checker-wire.ts";

/** A row of the record. */
export interface RecordedEvent {
  generation: number;
  epoch: number;
  kind: string;
  payload: string;
  hidden: string | null;
}

interface Message {
  messageId: string;
}
interface Artifact {
  artifactId: string;
  name?: string;
  description?: string;
  parts?: unknown[];
  metadata?: Record<string, unknown>;
}
interface Task {
  status?: { state: string; message?: Message };
  history?: Message[];
  artifacts?: Artifact[];
  metadata?: Record<string, unknown>;
  [member: string]: unknown;
}
interface Update {
  status?: { state: string; message?: Message };
  artifact?: Artifact;
  append?: boolean;
  metadata?: Record<string, unknown>;
}

/** Task texts in a form that can be compared, one after every event: index 0 is generation 1. */
export function foldAll(
  dialect: Dialect,
  ids: { taskId: string; contextId: string },
  events: readonly RecordedEvent[],
): string[] {
  let task: Task = {
    ...(dialect === "0.3" && { kind: "task" }),
    id: ids.taskId,
    contextId: ids.contextId,
    status: { state: dialect === "0.3" ? "submitted" : "TASK_STATE_SUBMITTED" },
  };
  return events.map((event) => {
    const hidden = event.hidden === null ? [] : (JSON.parse(event.hidden) as Message[]);
    const parsed = JSON.parse(event.payload) as Record<string, unknown>;
    const body = dialect === "0.3" ? parsed : Object.values(parsed)[0];
    if (event.kind === "task") task = openTask(body as Task, hidden);
    else {
      for (const message of hidden) addMessage(task, message);
      foldUpdate(task, event.kind, body as Update);
    }
    return canonicalTask(task);
  });
}

/** The first turn's message stands before what the agent's own Task has. */
function openTask(body: Task, hidden: Message[]): Task {
  const own = body.history ?? [];
  const missing = hidden.filter((message) => !own.some((one) => one.messageId === message.messageId));
  return { ...structuredClone(body), history: [...missing, ...structuredClone(own)] };
}

function foldUpdate(task: Task, kind: string, update: Update): void {
  if (kind === "status" && update.status !== undefined) {
    task.status = update.status;
    if (update.status.message !== undefined) addMessage(task, update.status.message);
  }
  if (kind === "artifact" && update.artifact !== undefined) foldArtifact(task, update.artifact, update.append === true);
  if (update.metadata !== undefined) task.metadata = { ...task.metadata, ...update.metadata };
}

function addMessage(task: Task, message: Message): void {
  task.history ??= [];
  if (!task.history.some((one) => one.messageId === message.messageId)) task.history.push(message);
}

function foldArtifact(task: Task, artifact: Artifact, append: boolean): void {
  task.artifacts ??= [];
  const index = task.artifacts.findIndex((one) => one.artifactId === artifact.artifactId);
  const known = task.artifacts[index];
  if (known === undefined) {
    task.artifacts.push(structuredClone(artifact));
    return;
  }
  if (!append) {
    task.artifacts[index] = structuredClone(artifact);
    return;
  }
  known.parts = [...(known.parts ?? []), ...(artifact.parts ?? [])];
  if (artifact.name) known.name = artifact.name;
  if (artifact.description) known.description = artifact.description;
  if (artifact.metadata) known.metadata = { ...known.metadata, ...artifact.metadata };
}

/**
 * A Task's text with sorted members; empty lists and objects are as good as none, and so are artifacts that an attempt
 * which broke off has left blank.
 */
export function canonicalTask(task: unknown): string {
  return JSON.stringify(task, (key, given: unknown) => {
    if (typeof given !== "object" || given === null) return given;
    const value =
      key === "artifacts" && Array.isArray(given) ? given.filter((artifact) => !isBlanked(artifact)) : given;
    if (Array.isArray(value))
      return value.length === 0 && (key === "history" || key === "artifacts") ? undefined : value;
    const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
    return entries.length === 0 && key === "metadata" ? undefined : Object.fromEntries(entries);
  });
}

function isBlanked(artifact: Artifact): boolean {
  return artifact.metadata?.["durable-agent.dev/blanked"] === true;
}

/** Whether a task is finished after these events. */
export function endsTerminal(dialect: Dialect, events: readonly RecordedEvent[]): number[] {
  return events.flatMap((event) => {
    if (event.kind !== "status" && event.kind !== "task") return [];
    const parsed = JSON.parse(event.payload) as Record<string, unknown>;
    const body = (dialect === "0.3" ? parsed : Object.values(parsed)[0]) as Task;
    return isTerminalState(plainState(body.status?.state ?? "")) ? [event.generation] : [];
  });
}
