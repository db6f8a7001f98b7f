/** The agents a scenario is played with, and how each is spoken to. */
import type { AgentKind } from "../../support/replica.ts";

export type Dialect = "0.3" | "1.0";

export interface Subject {
  /** As a test's name says it. */
  name: string;
  agent: AgentKind;
  flags: string[];
  dialect: Dialect;
  /** Where the agent takes JSON-RPC. */
  path: string;
}

/** The published SDK of A2A 1.0. */
export const JS_1: Subject = {
  name: "JS 1.3",
  agent: "js-1",
  flags: ["--compat"],
  dialect: "1.0",
  path: "/a2a/jsonrpc",
};
/** The same agent, called in 0.3 through its SDK's own compatibility layer. */
export const JS_1_COMPAT: Subject = { ...JS_1, name: "JS 1.3 in 0.3", dialect: "0.3" };
/** The published SDK of A2A 0.3. */
export const JS_03: Subject = { name: "JS 0.3", agent: "js-03", flags: [], dialect: "0.3", path: "/" };
/** An agent without an SDK. */
export const RAW_1: Subject = { name: "raw 1.0", agent: "raw", flags: [], dialect: "1.0", path: "/rpc" };
export const RAW_03: Subject = { name: "raw 0.3", agent: "raw", flags: ["--old-card"], dialect: "0.3", path: "/rpc" };
/** The published Python SDKs. */
export const PY_1: Subject = { name: "Python 1.3", agent: "py-1", flags: [], dialect: "1.0", path: "/" };
/** The same agent, called in 0.3 through its SDK's own compatibility layer. */
export const PY_1_COMPAT: Subject = { ...PY_1, name: "Python 1.3 in 0.3", flags: ["--compat"], dialect: "0.3" };
export const PY_03: Subject = { name: "Python 0.3", agent: "py-03", flags: [], dialect: "0.3", path: "/" };

export type Operation =
  | "send"
  | "stream"
  | "get"
  | "list"
  | "cancel"
  | "subscribe"
  | "push-set"
  | "push-get"
  | "push-list"
  | "push-delete"
  | "extended-card";

const methods: Record<Operation, Record<Dialect, string>> = {
  send: { "0.3": "message/send", "1.0": "SendMessage" },
  stream: { "0.3": "message/stream", "1.0": "SendStreamingMessage" },
  get: { "0.3": "tasks/get", "1.0": "GetTask" },
  list: { "0.3": "tasks/list", "1.0": "ListTasks" },
  cancel: { "0.3": "tasks/cancel", "1.0": "CancelTask" },
  subscribe: { "0.3": "tasks/resubscribe", "1.0": "SubscribeToTask" },
  "push-set": { "0.3": "tasks/pushNotificationConfig/set", "1.0": "CreateTaskPushNotificationConfig" },
  "push-get": { "0.3": "tasks/pushNotificationConfig/get", "1.0": "GetTaskPushNotificationConfig" },
  "push-list": { "0.3": "tasks/pushNotificationConfig/list", "1.0": "ListTaskPushNotificationConfigs" },
  "push-delete": { "0.3": "tasks/pushNotificationConfig/delete", "1.0": "DeleteTaskPushNotificationConfig" },
  "extended-card": { "0.3": "agent/getAuthenticatedExtendedCard", "1.0": "GetExtendedAgentCard" },
};

export function methodOf(subject: Subject, operation: Operation): string {
  return methods[operation][subject.dialect];
}
