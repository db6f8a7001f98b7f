import { expect, test } from "vitest";
import { loggedError } from "./logged-error.ts";

test("I10: the words of a cause, where a database repeats values, are not logged", () => {
  const driver = Object.assign(new Error("invalid input: SECRET PAYLOAD"), {
    code: "22P02",
    meta: { query: "SECRET" },
  });
  const logged = loggedError(new Error("the store refused the content", { cause: driver }));
  expect(logged).toMatchObject({ type: "Error", message: "the store refused the content", cause: { code: "22P02" } });
  expect(JSON.stringify(logged)).not.toContain("SECRET");
});

test("I10: a message is bounded, and what is no error tells only its type", () => {
  expect(loggedError(new Error("x".repeat(10_000))).message).toHaveLength(300);
  expect(loggedError("SECRET").message).toBe("string");
});
