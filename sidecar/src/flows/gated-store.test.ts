import { describe, expect, test } from "vitest";
import type { RecoveryStore } from "../ports/recovery-store.ts";
import { StoreError, type TaskStore } from "../ports/task-store.ts";
import { gateOwnerWrites } from "./gated-store.ts";

/** A store that answers every call with its name. */
const answering = new Proxy({} as TaskStore & RecoveryStore, {
  get: (_target, name) => () => Promise.resolve(name),
});

type Call = (...args: unknown[]) => Promise<unknown>;

/** Calls a method by name, whatever it takes. */
function call(store: TaskStore & RecoveryStore, name: keyof (TaskStore & RecoveryStore)): Promise<unknown> {
  return (Reflect.get(store, name) as Call)();
}

const ownerWrites = [
  "journal",
  "takeTurn",
  "endTurn",
  "createTask",
  "append",
  "takeCancel",
  "refuseCancel",
  "beginAttempt",
  "claimTask",
  "claimWork",
] as const;
const others = [
  "readView",
  "readEvents",
  "readPositions",
  "readTurns",
  "settle",
  "requestCancel",
  "renewInstance",
] as const;

describe("the store of an instance past its own deadline", () => {
  test("I7: what only an owner may write is refused past the deadline, reads go through", async () => {
    const store = gateOwnerWrites(answering, () => false);
    for (const name of ownerWrites) {
      const refusal: unknown = await call(store, name).catch((error: unknown) => error);
      expect(refusal, `${name} is refused`).toBeInstanceOf(StoreError);
      expect(refusal, "as an outage, so that it is repeated").toMatchObject({ kind: "unavailable" });
    }
    for (const name of others) expect(await call(store, name)).toBe(name);
  });

  test("P11: it goes on when the lease is renewed, with the same store", async () => {
    let held = false;
    const store = gateOwnerWrites(answering, () => held);
    await expect(call(store, "append")).rejects.toThrow("has not renewed its lease");
    held = true;
    for (const name of ownerWrites) expect(await call(store, name)).toBe(name);
  });
});
