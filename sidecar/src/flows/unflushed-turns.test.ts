import { describe, expect, test } from "vitest";
import { MemoryTaskStore } from "../adapters/memory/task-store.ts";
import type { NewTurn } from "../ports/task-store.ts";
import { StoreError } from "../ports/task-store.ts";
import { UnflushedTurns } from "./unflushed-turns.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const turnOf = (id: string, more: Partial<NewTurn> = {}): NewTurn => ({
  id,
  purpose: "send",
  tenant: "",
  caller: "",
  dialect: "1.0",
  method: "SendMessage",
  path: "/",
  body: "{}",
  headers: null,
  contextId: null,
  taskId: null,
  instance: "a",
  self: "a",
  aside: false,
  dedupeKey: null,
  ...more,
});

/** A guarded store that can be away, and that says what it was asked to put back. */
function open() {
  let nowMs = 0;
  const clock = { monotonicMs: () => nowMs, now: () => new Date(), sleep: () => Promise.resolve() };
  const store = new MemoryTaskStore({ clock, idempotencyWindowSeconds: 3600 });
  const asked: string[][] = [];
  let away: StoreError | null = null;
  const reach = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
    return (...args: A): Promise<R> => (away === null ? call(...args) : Promise.reject(away));
  };
  const restoreTurns = store.restoreTurns.bind(store);
  store.restoreTurns = reach((turns: NewTurn[]) => {
    asked.push(turns.map(({ id }) => id));
    return restoreTurns(turns);
  });
  store.readPulses = reach(store.readPulses.bind(store));
  const turns = new UnflushedTurns({ clock, log: silent });
  return {
    store: turns.guard(store),
    turns,
    asked,
    wait: (ms: number) => {
      nowMs += ms;
    },
    setAway: (kind: StoreError["kind"] | null) => {
      away = kind === null ? null : new StoreError(kind, "scripted");
    },
  };
}

describe("after an interruption of the store", () => {
  test.each(["unavailable", "unknown-outcome"] as const)(
    "P7: it gets back what was journaled last before anything else is asked of it: %s",
    async (kind) => {
      const { store, asked, setAway, wait } = open();
      await store.journal(turnOf("old"));
      wait(1_900);
      await store.journal(turnOf("new"));
      wait(200);
      await store.readPulses();
      setAway(kind);
      await expect(store.readPulses()).rejects.toMatchObject({ kind });
      wait(60_000);
      await expect(store.readPulses()).rejects.toMatchObject({ kind });
      expect(asked).toEqual([]);
      setAway(null);
      await Promise.all([store.readPulses(), store.readTurn("new")]);
      expect(asked).toEqual([["new"]]);
      await store.readPulses();
      expect(asked).toHaveLength(1);
    },
  );

  test("a connection that broke while nobody used it counts", async () => {
    const { store, turns, asked } = open();
    await store.journal(turnOf("idle"));
    turns.suspectCrash();
    await store.readPulses();
    expect(asked).toEqual([["idle"]]);
  });

  test("what is on the disk already is not put back", async () => {
    const { store, turns, asked } = open();
    await store.registerInstance({ id: "a", podName: "", podUid: "" }, 60_000);
    await store.journal(turnOf("elsewhere", { instance: "b" }));
    await store.journal(turnOf("again"));
    await store.beginAttempt("again", { instance: "a", epoch: 1 }, 1);
    await store.journal(turnOf("ended"));
    await store.endTurn({ turnId: "ended", state: "done", reply: null, epoch: 1, instance: "a" });
    turns.suspectCrash();
    await store.readPulses();
    expect(asked).toEqual([]);
  });

  test("a refusal that the content caused is no interruption", async () => {
    const { store, asked, setAway } = open();
    await store.journal(turnOf("kept"));
    setAway("rejected");
    await expect(store.readPulses()).rejects.toMatchObject({ kind: "rejected" });
    setAway(null);
    await store.readPulses();
    expect(asked).toEqual([]);
  });
});
