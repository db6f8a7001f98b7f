import { expect, test } from "vitest";
import { methodName, type Operation, operationOf } from "./methods.ts";

const operations: Operation[] = [
  "send",
  "stream",
  "get",
  "list",
  "cancel",
  "subscribe",
  "push-set",
  "push-get",
  "push-list",
  "push-delete",
  "extended-card",
];

test("every method name leads back to its dialect and operation, so no name is in both dialects", () => {
  const named = (["0.3", "1.0"] as const).flatMap((dialect) =>
    operations.flatMap((operation) => {
      const name = methodName(dialect, operation);
      return name === undefined ? [] : [{ name, means: { dialect, operation } }];
    }),
  );
  expect(named.map(({ name }) => operationOf(name))).toEqual(named.map(({ means }) => means));
  expect(operations.filter((operation) => methodName("0.3", operation) === undefined)).toEqual(["list"]);
});

test("the names are those of the specifications", () => {
  expect(operationOf("message/send")).toEqual({ dialect: "0.3", operation: "send" });
  expect(operationOf("tasks/resubscribe")).toEqual({ dialect: "0.3", operation: "subscribe" });
  expect(operationOf("SendStreamingMessage")).toEqual({ dialect: "1.0", operation: "stream" });
  expect(operationOf("ListTaskPushNotificationConfigs")).toEqual({ dialect: "1.0", operation: "push-list" });
});

test("other methods, also those of the language's own objects, are not A2A's", () => {
  for (const name of ["sendmessage", "tasks/list", "constructor", "__proto__", ""])
    expect(operationOf(name)).toBeUndefined();
});
