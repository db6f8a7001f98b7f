/**
 * Public ids and the agent's own. They are the same unless two replicas of an agent counted to the same task id, or a
 * later attempt of a task got a new one. Then every field that carries an id is mapped, both ways, and nothing else: text,
 * data and metadata are opaque. What is not mapped keeps its bytes; where nothing differs the same string comes back.
 */
import type { Dialect } from "../protocol/dialect.ts";
import { eventBody } from "../protocol/events.ts";
import type { Operation } from "../protocol/methods.ts";
import { inlinePushKey } from "../protocol/params.ts";
import { elements, isArray, isObject, members, quote, splice, text } from "../protocol/raw-json.ts";

/** One thing under its two names. */
export interface IdPair {
  agent: string;
  public: string;
}

/** Null where the names are the same. */
export interface IdMap {
  task: IdPair | null;
  context: IdPair | null;
  /** Public artifact ids by the agent's, where they differ. Towards the agent artifacts are never named. */
  artifacts?: ReadonlyMap<string, string>;
}

/** Nothing is mapped. */
export const identityMap: IdMap = { task: null, context: null };

/** The map of a task's row. */
export function idMap(ids: { agentTaskId: string; taskId: string; agentContextId: string; contextId: string }): IdMap {
  return {
    task: ids.agentTaskId === ids.taskId ? null : { agent: ids.agentTaskId, public: ids.taskId },
    context:
      ids.agentContextId === ids.contextId || ids.agentContextId === ""
        ? null
        : { agent: ids.agentContextId, public: ids.contextId },
  };
}

/** A stream payload, or the result of a send, in public form. */
export function toPublic(dialect: Dialect, payload: string, map: IdMap): string {
  if (isIdentity(map)) return payload;
  const rename = renaming(map, "public");
  const { kind } = eventBody(dialect, payload);
  if (kind === "other") return payload;
  const rewrite = kind === "task" ? taskFields : kind === "message" ? messageFields : updateFields;
  if (dialect === "0.3") return rewriteMembers(payload, rewrite(rename));
  return rewriteMembers(payload, () => (value) => (isObject(value) ? rewriteMembers(value, rewrite(rename)) : value));
}

/** A bare Task in public form; a Task has the same members in both dialects. */
export function taskToPublic(_dialect: Dialect, task: string, map: IdMap): string {
  return isIdentity(map) ? task : rewriteMembers(task, taskFields(renaming(map, "public")));
}

/** The result of a push configuration call in public form. 0.3 SDKs name a configuration after its task. */
export function pushToPublic(dialect: Dialect, result: string, map: IdMap): string {
  if (isIdentity(map)) return result;
  const fields = pushFields(dialect, renaming(map, "public"));
  if (isArray(result)) return rewriteElements(result, (entry) => rewriteMembers(entry, fields));
  return rewriteMembers(result, (key) =>
    key === "configs" ? (value) => rewriteElements(value, (entry) => rewriteMembers(entry, fields)) : fields(key),
  );
}

/** The params of a call in the agent's ids. */
export function toAgent(dialect: Dialect, operation: Operation, params: string, map: IdMap): string {
  if (isIdentity(map)) return params;
  const rename = renaming(map, "agent");
  switch (operation) {
    case "send":
    case "stream":
      return rewriteMembers(params, sendFields(dialect, rename));
    case "get":
    case "cancel":
    case "subscribe":
      return rewriteMembers(params, (key) => (key === "id" ? rename.task : undefined));
    case "push-set":
      return rewriteMembers(params, pushFields(dialect, rename));
    case "push-get":
    case "push-list":
    case "push-delete":
      return rewriteMembers(params, (key) => {
        if (dialect === "1.0") return key === "taskId" || key === "id" ? rename.task : undefined;
        return key === "id" || key === "pushNotificationConfigId" ? rename.task : undefined;
      });
    case "list":
      return rewriteMembers(params, (key) => (key === "contextId" ? rename.context : undefined));
    case "extended-card":
      return params;
  }
}

/** Gives the raw value that stands for a raw value. */
type Rewrite = (value: string) => string;
/** Which members of an object are rewritten, and how. */
type Fields = (key: string) => Rewrite | undefined;

interface Renaming {
  task: Rewrite;
  context: Rewrite;
  artifact: Rewrite;
}

function isIdentity(map: IdMap): boolean {
  return map.task === null && map.context === null && (map.artifacts === undefined || map.artifacts.size === 0);
}

function renaming(map: IdMap, towards: "agent" | "public"): Renaming {
  return {
    task: (value) => renamed(value, map.task, towards),
    context: (value) => renamed(value, map.context, towards),
    artifact: (value) => {
      const name = towards === "public" ? map.artifacts?.get(text(value) ?? "") : undefined;
      return name === undefined ? value : quote(name);
    },
  };
}

function renamed(value: string, pair: IdPair | null, towards: "agent" | "public"): string {
  if (pair === null || text(value) !== (towards === "public" ? pair.agent : pair.public)) return value;
  return quote(pair[towards]);
}

function taskFields(rename: Renaming): Fields {
  return (key) => {
    if (key === "id") return rename.task;
    if (key === "contextId") return rename.context;
    if (key === "status") return (value) => rewriteMembers(value, statusFields(rename));
    if (key === "history")
      return (value) => rewriteElements(value, (entry) => rewriteMembers(entry, messageFields(rename)));
    if (key !== "artifacts") return undefined;
    return (value) => rewriteElements(value, (entry) => rewriteMembers(entry, artifactFields(rename)));
  };
}

/** Of status and artifact updates. */
function updateFields(rename: Renaming): Fields {
  return (key) => {
    if (key === "taskId") return rename.task;
    if (key === "contextId") return rename.context;
    if (key === "status") return (value) => rewriteMembers(value, statusFields(rename));
    return key === "artifact" ? (value) => rewriteMembers(value, artifactFields(rename)) : undefined;
  };
}

function statusFields(rename: Renaming): Fields {
  return (key) => (key === "message" ? (value) => rewriteMembers(value, messageFields(rename)) : undefined);
}

function artifactFields(rename: Renaming): Fields {
  return (key) => (key === "artifactId" ? rename.artifact : undefined);
}

function messageFields(rename: Renaming): Fields {
  return (key) => {
    if (key === "taskId") return rename.task;
    if (key === "contextId") return rename.context;
    return key === "referenceTaskIds" ? (value) => rewriteElements(value, rename.task) : undefined;
  };
}

function sendFields(dialect: Dialect, rename: Renaming): Fields {
  const pushKey = inlinePushKey(dialect);
  const push: Fields = (key) => (key === "taskId" ? rename.task : undefined);
  const configuration: Fields = (key) => (key === pushKey ? (value) => rewriteMembers(value, push) : undefined);
  return (key) => {
    if (key === "message") return (value) => rewriteMembers(value, messageFields(rename));
    return key === "configuration" ? (value) => rewriteMembers(value, configuration) : undefined;
  };
}

function pushFields(dialect: Dialect, rename: Renaming): Fields {
  const named: Fields = (key) => (key === "id" ? rename.task : undefined);
  return (key) => {
    if (key === "taskId") return rename.task;
    if (dialect === "1.0") return key === "id" ? rename.task : undefined;
    return key === "pushNotificationConfig" ? (value) => rewriteMembers(value, named) : undefined;
  };
}

function rewriteMembers(objectText: string, fields: Fields): string {
  const edits = members(objectText).flatMap((entry) => {
    const changed = fields(entry.key)?.(entry.value) ?? entry.value;
    return changed === entry.value ? [] : [{ start: entry.start, end: entry.end, text: changed }];
  });
  return splice(objectText, edits);
}

function rewriteElements(arrayText: string, rewrite: Rewrite): string {
  const before = elements(arrayText);
  const after = before.map(rewrite);
  return after.some((element, index) => element !== before[index]) ? `[${after.join(",")}]` : arrayText;
}
