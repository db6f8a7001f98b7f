import type { Dialect } from "./dialect.ts";

/** What an A2A call asks for, whatever its dialect calls it. */
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

/** Method names of A2A 0.3 §3.5.6 and A2A 1.0 §5.3. 0.3 has no list over JSON-RPC. No name is in both columns. */
const methodNames: Record<Operation, { "0.3": string | undefined; "1.0": string }> = {
  send: { "0.3": "message/send", "1.0": "SendMessage" },
  stream: { "0.3": "message/stream", "1.0": "SendStreamingMessage" },
  get: { "0.3": "tasks/get", "1.0": "GetTask" },
  list: { "0.3": undefined, "1.0": "ListTasks" },
  cancel: { "0.3": "tasks/cancel", "1.0": "CancelTask" },
  subscribe: { "0.3": "tasks/resubscribe", "1.0": "SubscribeToTask" },
  "push-set": { "0.3": "tasks/pushNotificationConfig/set", "1.0": "CreateTaskPushNotificationConfig" },
  "push-get": { "0.3": "tasks/pushNotificationConfig/get", "1.0": "GetTaskPushNotificationConfig" },
  "push-list": { "0.3": "tasks/pushNotificationConfig/list", "1.0": "ListTaskPushNotificationConfigs" },
  "push-delete": { "0.3": "tasks/pushNotificationConfig/delete", "1.0": "DeleteTaskPushNotificationConfig" },
  "extended-card": { "0.3": "agent/getAuthenticatedExtendedCard", "1.0": "GetExtendedAgentCard" },
};

const operations: ReadonlyMap<string, { dialect: Dialect; operation: Operation }> = new Map(
  (Object.keys(methodNames) as Operation[]).flatMap((operation) =>
    (["0.3", "1.0"] as const).flatMap((dialect) => {
      const name = methodNames[operation][dialect];
      return name === undefined ? [] : [[name, { dialect, operation }] as const];
    }),
  ),
);

/** Which dialect and operation a JSON-RPC method name means; undefined for a method that is not A2A's. */
export function operationOf(method: string): { dialect: Dialect; operation: Operation } | undefined {
  return operations.get(method);
}

/** The method's name in a dialect; undefined where the dialect has no such method. */
export function methodName(dialect: Dialect, operation: Operation): string | undefined {
  return methodNames[operation][dialect];
}
