/**
 * Reads the params of A2A calls: only what the sidecar needs to route and answer them. Everything else is for the agent
 * to judge. A member that is null counts as absent, and so does an empty id, ProtoJSON's way of leaving it out.
 */
import type { TaskState } from "../domain/task-state.ts";
import { a2aError } from "./a2a-errors.ts";
import type { Dialect } from "./dialect.ts";
import { isUsableId } from "./ids.ts";
import type { Operation } from "./methods.ts";
import { isObject, members, memberOf, type RawMember, text } from "./raw-json.ts";
import { normalTimestamp, parseState } from "./states.ts";

/** `error` is a raw JSON-RPC error object (invalid-params). */
export type Parsed<T> = { kind: "ok"; value: T } | { kind: "bad"; error: string };

export interface SendParams {
  tenant: string;
  /** Raw Message. */
  message: string;
  messageId: string;
  taskId: string | null;
  contextId: string | null;
  /** 1.0: not returnImmediately. 0.3: null where unset, which its SDKs understand differently. */
  blocking: boolean | null;
  historyLength: number | null;
  /** Whether the configuration carries a push configuration. */
  inlinePush: boolean;
}

/** Of get, cancel and subscribe. */
export interface TaskParams {
  tenant: string;
  id: string;
  historyLength: number | null;
}

export interface PushParams {
  tenant: string;
  taskId: string;
  configId: string | null;
}

export interface ListParams {
  tenant: string;
  contextId: string | null;
  state: TaskState | null;
  /** Normalised: ISO 8601, UTC, milliseconds. */
  statusTimestampAfter: string | null;
  pageSize: number;
  /** Empty for the first page. */
  pageToken: string;
  historyLength: number | null;
  includeArtifacts: boolean;
}

const defaultPageSize = 50;
const largestPageSize = 100;

/** Of send and stream. */
export function parseSend(dialect: Dialect, params: string | undefined): Parsed<SendParams> {
  return judge(dialect, () => {
    const list = objectMembers(params, "Invalid method parameters.");
    const message = memberOf(list, "message");
    if (!isObject(message)) throw new BadParams("request.message is required.");
    const ids = members(message);
    const rawConfiguration = memberOf(list, "configuration");
    const configuration = isObject(rawConfiguration) ? members(rawConfiguration) : [];
    const messageId = optionalId(ids, "messageId", "message.messageId");
    if (messageId === null) throw new BadParams("message.messageId is required.");
    return {
      tenant: tenantIn(dialect, list),
      message,
      messageId,
      taskId: optionalId(ids, "taskId", "message.taskId"),
      contextId: optionalId(ids, "contextId", "message.contextId"),
      blocking: blockingIn(dialect, configuration),
      historyLength: optionalInteger(configuration, "historyLength"),
      inlinePush: isObject(memberOf(configuration, inlinePushKey(dialect))),
    };
  });
}

/** Of get, cancel and subscribe. */
export function parseTaskParams(dialect: Dialect, params: string | undefined): Parsed<TaskParams> {
  return judge(dialect, () => {
    const list = objectMembers(params, "Invalid method parameters.");
    return {
      tenant: tenantIn(dialect, list),
      id: requiredTaskId(list, "id"),
      historyLength: optionalInteger(list, "historyLength"),
    };
  });
}

/** Of the four push configuration calls. */
export function parsePush(dialect: Dialect, operation: Operation, params: string | undefined): Parsed<PushParams> {
  return judge(dialect, () => {
    const list = objectMembers(params, "Invalid method parameters.");
    const tenant = tenantIn(dialect, list);
    if (dialect === "1.0") {
      const configId = operation === "push-list" ? null : optionalId(list, "id", "id");
      return { tenant, taskId: requiredTaskId(list, "taskId"), configId };
    }
    if (operation !== "push-set") {
      const configId = optionalId(list, "pushNotificationConfigId", "pushNotificationConfigId");
      return { tenant, taskId: requiredTaskId(list, "id"), configId };
    }
    const config = memberOf(list, "pushNotificationConfig");
    const configId = isObject(config) ? optionalId(members(config), "id", "pushNotificationConfig.id") : null;
    return { tenant, taskId: requiredTaskId(list, "taskId"), configId };
  });
}

/** Of ListTasks, which only 1.0 has (A2A 1.0 §3.1.4). Values out of range are refused. */
export function parseList(params: string | undefined): Parsed<ListParams> {
  return judge("1.0", () => {
    const list = objectMembers(params, "Invalid method parameters.");
    const pageSize = optionalInteger(list, "pageSize") ?? defaultPageSize;
    if (pageSize < 1 || pageSize > largestPageSize) {
      throw new BadParams(`pageSize must be between 1 and ${largestPageSize}`);
    }
    return {
      tenant: tenantIn("1.0", list),
      contextId: optionalId(list, "contextId", "contextId"),
      state: statusFilter(list),
      statusTimestampAfter: timestampFilter(list),
      pageSize,
      pageToken: optionalText(list, "pageToken") ?? "",
      historyLength: optionalInteger(list, "historyLength"),
      includeArtifacts: memberOf(list, "includeArtifacts") === "true",
    };
  });
}

/** The tenant of any call's params, empty where there is none. 0.3 has no tenants: ask only for 1.0. */
export function tenantOf(params: string | undefined): string {
  return isObject(params) ? (text(memberOf(members(params), "tenant")) ?? "") : "";
}

/** What the configuration of a send calls its inline push configuration. */
export function inlinePushKey(dialect: Dialect): string {
  return dialect === "1.0" ? "taskPushNotificationConfig" : "pushNotificationConfig";
}

/** Carries the reason out of the readers below; never leaves this file. */
class BadParams extends Error {}

function judge<T>(dialect: Dialect, read: () => T): Parsed<T> {
  try {
    return { kind: "ok", value: read() };
  } catch (error) {
    if (!(error instanceof BadParams)) throw error;
    return { kind: "bad", error: a2aError(dialect, "invalid-params", error.message) };
  }
}

function objectMembers(params: string | undefined, message: string): RawMember[] {
  if (!isObject(params)) throw new BadParams(message);
  return members(params);
}

function tenantIn(dialect: Dialect, list: readonly RawMember[]): string {
  if (dialect === "0.3") return "";
  const tenant = optionalText(list, "tenant") ?? "";
  if (tenant !== "" && !isUsableId(tenant)) throw new BadParams("tenant is too long or not printable.");
  return tenant;
}

function optionalText(list: readonly RawMember[], key: string): string | null {
  const raw = memberOf(list, key);
  if (raw === undefined || raw === "null") return null;
  const value = text(raw);
  if (value === undefined) throw new BadParams(`${key} must be a string.`);
  return value;
}

function optionalId(list: readonly RawMember[], key: string, name: string): string | null {
  const raw = memberOf(list, key);
  if (raw === undefined || raw === "null") return null;
  const value = text(raw);
  if (value === undefined) throw new BadParams(`${name} must be a string.`);
  if (value === "") return null;
  if (!isUsableId(value)) throw new BadParams(`${name} is too long or not printable.`);
  return value;
}

function requiredTaskId(list: readonly RawMember[], key: string): string {
  const id = optionalId(list, key, "Task ID");
  if (id === null || id.trim() === "") throw new BadParams("Task ID is required");
  return id;
}

/** An integer, also as the decimal string that ProtoJSON allows for one. */
function optionalInteger(list: readonly RawMember[], key: string): number | null {
  const raw = memberOf(list, key);
  if (raw === undefined || raw === "null") return null;
  const value = Number(text(raw) ?? raw);
  if (!Number.isInteger(value) || text(raw) === "") throw new BadParams(`${key} must be an integer.`);
  return value;
}

function blockingIn(dialect: Dialect, configuration: readonly RawMember[]): boolean | null {
  if (dialect === "1.0") return memberOf(configuration, "returnImmediately") !== "true";
  const blocking = memberOf(configuration, "blocking");
  return blocking === "true" ? true : blocking === "false" ? false : null;
}

function statusFilter(list: readonly RawMember[]): TaskState | null {
  const name = optionalText(list, "status");
  if (name === null || name === "") return null;
  const state = parseState("1.0", name);
  if (state === undefined) throw new BadParams(`Invalid status filter: ${name.slice(0, 64)}`);
  // The unspecified state is ProtoJSON's default value: no filter.
  return state === "unknown" ? null : state;
}

function timestampFilter(list: readonly RawMember[]): string | null {
  const after = optionalText(list, "statusTimestampAfter");
  if (after === null || after === "") return null;
  const normal = normalTimestamp(after) ?? normalTimestamp(`${after}T00:00:00Z`);
  if (normal === null) throw new BadParams("statusTimestampAfter must be a valid ISO 8601 date string");
  return normal;
}
