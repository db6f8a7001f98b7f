/** Changes to the params of a call on its way to the agent. What is not named here keeps its bytes. */
import type { Dialect } from "./dialect.ts";
import { inlinePushKey } from "./params.ts";
import { isObject, member, quote, removeMember, setMember } from "./raw-json.ts";

/** Ids of a message: null removes the member, undefined leaves it. */
export interface MessageIds {
  taskId?: string | null;
  contextId?: string | null;
}

/**
 * Without the configuration's `historyLength`: the agent gives the whole history, the sidecar cuts what it shows. Both
 * dialects call it the same.
 */
export function stripHistoryLength(_dialect: Dialect, params: string): string {
  return withoutSetting(params, "historyLength");
}

/** Without the inline push configuration of a send. */
export function stripInlinePush(dialect: Dialect, params: string): string {
  return withoutSetting(params, inlinePushKey(dialect));
}

/** The Message with its context named. */
export function withContextId(message: string, contextId: string): string {
  return setMember(message, "contextId", quote(contextId));
}

/** The params with the ids of their message set. */
export function setMessageIds(params: string, ids: MessageIds): string {
  const message = member(params, "message");
  if (!isObject(message)) return params;
  let changed = message;
  for (const key of ["taskId", "contextId"] as const) {
    const id = ids[key];
    if (id === null) changed = removeMember(changed, key);
    else if (id !== undefined) changed = setMember(changed, key, quote(id));
  }
  return changed === message ? params : setMember(params, "message", changed);
}

/** The params with the mode of a unary send said outright: `returnImmediately` in 1.0, `blocking` in 0.3. */
export function setBlocking(dialect: Dialect, params: string, blocking: boolean): string {
  const configuration = member(params, "configuration");
  const base = isObject(configuration) ? configuration : "{}";
  const changed =
    dialect === "1.0"
      ? setMember(base, "returnImmediately", String(!blocking))
      : setMember(base, "blocking", String(blocking));
  return setMember(params, "configuration", changed);
}

/** The params with one key of `params.metadata` set. */
export function setRequestMetadata(params: string, key: string, rawValue: string): string {
  const metadata = member(params, "metadata");
  return setMember(params, "metadata", setMember(isObject(metadata) ? metadata : "{}", key, rawValue));
}

/** Params of get, cancel and subscribe for the calls the sidecar makes itself. */
export function taskParams(dialect: Dialect, ids: { tenant: string; id: string }): string {
  if (dialect === "0.3" || ids.tenant === "") return `{"id":${quote(ids.id)}}`;
  return `{"tenant":${quote(ids.tenant)},"id":${quote(ids.id)}}`;
}

function withoutSetting(params: string, key: string): string {
  const configuration = member(params, "configuration");
  if (!isObject(configuration)) return params;
  const changed = removeMember(configuration, key);
  return changed === configuration ? params : setMember(params, "configuration", changed);
}
