/**
 * The difference rule: how a Task that the agent hands out (a reply, a get, a first event of a second subscription) enters
 * a record that is a fold of events. What the Task has and the fold lacks becomes events, never a second Task: Python
 * clients break on one.
 */
import type { NewEvent } from "../ports/task-store.ts";
import { artifactPayload, statusHead, statusPayloadOf } from "../protocol/events.ts";
import { elements, isObject, member, members, memberOf, quote, setMember } from "../protocol/raw-json.ts";
import { sameValue } from "../protocol/same-value.ts";
import {
  artifactOf,
  type Fold,
  foldHead,
  hasMessage,
  hasMetadata,
  messageKey,
  metadataValue,
  statusText,
} from "./fold.ts";
import { artifactId, FoldedArtifact } from "./folded-artifact.ts";
import { isAtRest, isTerminal } from "./task-state.ts";

/**
 * What differs from the fold, as artifact updates and then at most one status update: with the Task's status and
 * metadata, and hidden messages that only the Task has. None where nothing differs or the fold is terminal (P6).
 *
 * It removes no artifact and no message. Values are compared, not texts: the order of keys or whitespace is no
 * difference. Folding the result leaves no difference to the same Task. A live Task whose status is older than the
 * fold's, or an artifact of a live Task that has only the beginning of the parts recorded, was read before events that
 * are recorded already and says nothing.
 *
 * `agentTask` is a bare Task in public form. `fresh`: it is the first word of a new run and cannot have been read before
 * what is recorded, whatever its clock says.
 */
export function differenceFrom(fold: Fold, agentTask: string, options: { fresh?: boolean } = {}): NewEvent[] {
  const head = foldHead(fold);
  if (isTerminal(head.state)) return [];
  const list = members(agentTask);
  const status = memberOf(list, "status");
  const agent = statusHead(fold.dialect, status);
  const live = !isTerminal(agent.state) && options.fresh !== true;
  if (live && agent.timestamp !== null && head.statusTimestamp !== null && agent.timestamp < head.statusTimestamp) {
    return [];
  }
  const artifacts = differingArtifacts(fold, memberOf(list, "artifacts"), live);
  const update = statusUpdate(fold, {
    status,
    history: memberOf(list, "history"),
    metadata: memberOf(list, "metadata"),
  });
  return update === null ? artifacts : [...artifacts, update];
}

function differingArtifacts(fold: Fold, list: string | undefined, live: boolean): NewEvent[] {
  // Of two with one id the last one counts, as it does in the fold.
  const last = new Map(elements(list ?? "[]").map((artifact) => [artifactId(artifact), artifact]));
  const { taskId, contextId } = fold.head;
  const events: NewEvent[] = [];
  for (const artifact of last.values()) {
    const chunk = differingChunk(artifactOf(fold, artifactId(artifact)), artifact, live);
    if (chunk === null) continue;
    const payload = artifactPayload(fold.dialect, { taskId, contextId, ...chunk });
    events.push({ kind: "artifact", payload, hidden: null });
  }
  return events;
}

function differingChunk(
  known: FoldedArtifact | undefined,
  artifact: string,
  live: boolean,
): { artifact: string; append: boolean } | null {
  if (known === undefined) return { artifact, append: false };
  const agent = new FoldedArtifact(artifact);
  if (known.blanked && !agent.blanked) return { artifact, append: false };
  const common = known.commonParts(agent);
  const [recorded, given] = [known.parts().length, agent.parts().length];
  if (live && common === given && given < recorded) return null;
  if (!known.sameBesideParts(agent)) return { artifact, append: false };
  if (common === recorded && common === given) return null;
  if (common === recorded) {
    const rest = agent.parts().slice(common);
    return { artifact: setMember(artifact, "parts", `[${rest.join(",")}]`), append: true };
  }
  return { artifact, append: false };
}

function statusUpdate(
  fold: Fold,
  agent: { status: string | undefined; history: string | undefined; metadata: string | undefined },
): NewEvent | null {
  const recorded = statusText(fold);
  const differs = isObject(agent.status) && !sameStatus(fold, recorded, agent.status);
  const status = differs && isObject(agent.status) ? agent.status : (recorded ?? "{}");
  const hidden = missingMessages(fold, agent.history, differs ? member(status, "message") : undefined);
  const metadata = differingMetadata(fold, agent.metadata);
  if (!differs && hidden === null && metadata === undefined) return null;
  const { taskId, contextId } = fold.head;
  const final = isAtRest(statusHead(fold.dialect, status).state);
  const update = { taskId, contextId, status, final };
  // Empty metadata alone is no difference worth an event, but one that is made for another reason brings it along.
  const merged = metadata ?? (isObject(agent.metadata) && !hasMetadata(fold) ? "{}" : undefined);
  const payload = statusPayloadOf(fold.dialect, merged === undefined ? update : { ...update, metadata: merged });
  return { kind: "status", payload, hidden };
}

/** A status that does not say when it came to be says nothing about the time of the recorded one. */
function sameStatus(fold: Fold, recorded: string | undefined, given: string): boolean {
  if (!isObject(recorded)) return false;
  const before = statusHead(fold.dialect, recorded);
  const after = statusHead(fold.dialect, given);
  if (before.state !== after.state) return false;
  if (after.timestamp !== null && after.timestamp !== before.timestamp) return false;
  const keys = new Set([...members(recorded), ...members(given)].map((entry) => entry.key));
  keys.delete("state");
  keys.delete("timestamp");
  return [...keys].every((key) => sameValue(stated(recorded, key), stated(given, key)));
}

/** A member's value, undefined also for null: SDKs write both for "none". */
function stated(objectText: string, key: string): string | undefined {
  const value = member(objectText, key);
  return value === "null" ? undefined : value;
}

/** JSON array of the messages only the agent's Task has; the message of the status update enters by itself. */
function missingMessages(fold: Fold, history: string | undefined, statusMessage: string | undefined): string | null {
  const seen = new Set(isObject(statusMessage) ? [messageKey(statusMessage)] : []);
  const missing: string[] = [];
  for (const message of elements(history ?? "[]")) {
    const key = messageKey(message);
    if (seen.has(key) || hasMessage(fold, message)) continue;
    seen.add(key);
    missing.push(message);
  }
  return missing.length === 0 ? null : `[${missing.join(",")}]`;
}

/** Raw object of the metadata whose values differ; undefined where none does. What only the fold has stays. */
function differingMetadata(fold: Fold, metadata: string | undefined): string | undefined {
  const last = new Map(isObject(metadata) ? members(metadata).map((entry) => [entry.key, entry.value]) : []);
  const differing = [...last].filter(([key, value]) => !sameValue(metadataValue(fold, key), value));
  if (differing.length === 0) return undefined;
  return `{${differing.map(([key, value]) => `${quote(key)}:${value}`).join(",")}}`;
}
