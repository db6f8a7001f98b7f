import { describe, expect, it } from "vitest";
import { Prisma } from "../../generated/client.ts";
import { StoreError } from "../../ports/task-store.ts";
import { storeErrorOf, violatedIndex } from "./sqlstate.ts";

/** A failed raw statement as Prisma throws it. */
function failed(cause: Record<string, unknown>): Error {
  const meta = { driverAdapterError: { cause } };
  return new Prisma.PrismaClientKnownRequestError("Raw query failed", { code: "P2010", clientVersion: "0", meta });
}

const sqlstate = (code: string) => failed({ kind: "postgres", originalCode: code, originalMessage: "secret row" });

describe("storeErrorOf", () => {
  it.each<[string, unknown, StoreError["kind"], StoreError["kind"]]>([
    ["serialization failure", sqlstate("40001"), "conflict", "conflict"],
    ["deadlock", sqlstate("40P01"), "conflict", "conflict"],
    ["NUL in a text", sqlstate("22021"), "rejected", "rejected"],
    ["CHECK violation", sqlstate("23514"), "rejected", "rejected"],
    ["row too big", sqlstate("54000"), "rejected", "rejected"],
    ["server starting", sqlstate("57P03"), "unavailable", "unavailable"],
    ["too many connections", sqlstate("53300"), "unavailable", "unavailable"],
    ["read-only standby", sqlstate("25006"), "unavailable", "unavailable"],
    ["not migrated", sqlstate("42P01"), "unavailable", "unavailable"],
    ["refused", failed({ kind: "DatabaseNotReachable" }), "unavailable", "unavailable"],
    ["no free connection", new Error("timeout exceeded when trying to connect"), "unavailable", "unavailable"],
    ["terminated by an administrator", sqlstate("57P01"), "unknown-outcome", "unavailable"],
    ["crash of the server", sqlstate("57P02"), "unknown-outcome", "unavailable"],
    ["connection failure", sqlstate("08006"), "unknown-outcome", "unavailable"],
    ["disk full", sqlstate("53100"), "unknown-outcome", "unavailable"],
    ["connection cut", new Error("Connection terminated unexpectedly"), "unknown-outcome", "unavailable"],
    ["reset", failed({ kind: "ConnectionClosed" }), "unknown-outcome", "unavailable"],
    ["no reply in time", new Error("Query read timeout"), "unknown-outcome", "unavailable"],
  ])("%s", (_, error, write, read) => {
    expect(storeErrorOf(error, true)).toMatchObject({ name: "StoreError", kind: write, cause: error });
    expect(storeErrorOf(error, false)).toMatchObject({ name: "StoreError", kind: read });
  });

  it("I10: never repeats what the server said, it can quote the row", () => {
    expect((storeErrorOf(sqlstate("23514"), true) as Error).message).toBe("the database reported 23514");
  });

  it("leaves bugs and its own errors as they are", () => {
    const bug = new TypeError("x is not a function");
    expect(storeErrorOf(bug, true)).toBe(bug);
    const own = new StoreError("conflict", "again");
    expect(storeErrorOf(own, true)).toBe(own);
  });
});

describe("violatedIndex", () => {
  it("names the index of a unique violation, and nothing for another error", () => {
    const unique = { kind: "UniqueConstraintViolation", originalCode: "23505", constraint: { index: "task_pkey" } };
    expect(violatedIndex(failed(unique))).toBe("task_pkey");
    expect(violatedIndex(sqlstate("23514"))).toBeNull();
    expect(violatedIndex(new Error("x"))).toBeNull();
  });
});
