import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Clock } from "../ports/clock.ts";
import { type AppendOutcome, type NewEvent, StoreError, type TaskWrite } from "../ports/task-store.ts";
import { GroupCommit, type GroupCommitOptions } from "./group-commit.ts";

/** The part of a store that appends, on plain maps, with a fault for each call where the test wants one. */
class ScriptedStore {
  readonly logs = new Map<string, string[]>();
  readonly epochs = new Map<string, number>();
  readonly statements: TaskWrite[][] = [];
  faults: ("none" | "conflict" | "unavailable" | "lost-before" | "lost-after" | "late")[] = [];
  /** Resolves the statements one by one when set. */
  gate: (() => Promise<void>) | null = null;
  #late: TaskWrite[] = [];

  async append(writes: TaskWrite[]): Promise<AppendOutcome[]> {
    this.statements.push(writes);
    await this.gate?.();
    const fault = this.faults.shift() ?? "none";
    if (fault === "conflict" || fault === "unavailable") throw new StoreError(fault, "scripted");
    if (fault === "lost-before") throw new StoreError("unknown-outcome", "scripted");
    if (fault === "late") {
      this.#late = writes;
      throw new StoreError("unknown-outcome", "scripted");
    }
    for (const write of this.#late.splice(0)) this.#store(write);
    const poison = writes.some((write) => write.events.some((event) => event.payload === "poison"));
    if (poison) throw new StoreError("rejected", "scripted");
    const outcomes = writes.map((write) => this.#store(write));
    if (fault === "lost-after") throw new StoreError("unknown-outcome", "scripted");
    return outcomes;
  }

  async settle(writes: TaskWrite[]): Promise<("committed" | "unsent" | "fenced")[]> {
    return writes.map((write) => {
      const log = this.#logOf(write.taskId);
      if (this.#epochOf(write.taskId) !== write.epoch) return "fenced";
      return log.length === write.expected ? "unsent" : "committed";
    });
  }

  #store(write: TaskWrite): AppendOutcome {
    const log = this.#logOf(write.taskId);
    if (this.#epochOf(write.taskId) !== write.epoch || log.length !== write.expected) return { kind: "fenced" };
    log.push(...write.events.map((event) => event.payload));
    return { kind: "committed", promoted: write.end === null ? null : "next", failed: [], closed: [] };
  }

  #logOf(taskId: string): string[] {
    const log = this.logs.get(taskId) ?? [];
    this.logs.set(taskId, log);
    return log;
  }

  #epochOf(taskId: string): number {
    return this.epochs.get(taskId) ?? 1;
  }
}

/** A clock whose sleeps end at once, so that a pause costs a test nothing; it counts them. */
function impatientClock(): Clock & { sleeps: number[] } {
  const sleeps: number[] = [];
  let nowMs = 0;
  return {
    sleeps,
    monotonicMs: () => nowMs,
    now: () => new Date(0),
    sleep: (ms) => {
      sleeps.push(ms);
      nowMs += ms;
      return Promise.resolve();
    },
  };
}

function event(payload: string): NewEvent {
  return { kind: "status", payload, hidden: null };
}

function write(taskId: string, expected: number, payloads: string[], rest: Partial<TaskWrite> = {}): TaskWrite {
  const head = { state: "working" as const, statusTimestamp: null, contextId: "c" };
  const none = { snapshot: null, end: null, firstOf: null, cancelAnswered: false };
  return { taskId, tenant: "", epoch: 1, attempt: 1, expected, events: payloads.map(event), head, ...none, ...rest };
}

function open(options: GroupCommitOptions = {}) {
  const store = new ScriptedStore();
  const clock = impatientClock();
  return { store, clock, commits: new GroupCommit(store, clock, { maxStatements: 1, ...options }) };
}

const kinds = (outcomes: AppendOutcome[]) => outcomes.map(({ kind }) => kind);

describe("GroupCommit", () => {
  it("carries what arrives together in one statement, across tasks", async () => {
    const { store, commits } = open();
    const outcomes = await Promise.all([
      commits.append(write("a", 0, ["1"])),
      commits.append(write("b", 0, ["1"])),
      commits.append(write("a", 1, ["2", "3"])),
    ]);
    expect(kinds(outcomes)).toEqual(["committed", "committed", "committed"]);
    expect(store.statements.map((writes) => writes.map((w) => [w.taskId, w.events.length]))).toEqual([
      [
        ["a", 3],
        ["b", 1],
      ],
    ]);
  });

  it("takes the whole queue with the next statement while one is under way", async () => {
    const { store, commits } = open();
    const gates: (() => void)[] = [];
    store.gate = () => new Promise((resolve) => void gates.push(resolve));
    const first = commits.append(write("a", 0, ["1"]));
    await expect.poll(() => gates.length).toBe(1);
    const others = [1, 2, 3, 4].map((g) => commits.append(write("a", g, [`${g + 1}`])));
    const other = commits.append(write("b", 0, ["1"]));
    gates.shift()?.();
    await first;
    await expect.poll(() => gates.length).toBe(1);
    gates.shift()?.();
    await Promise.all([...others, other]);
    expect(store.statements.map((writes) => writes.length)).toEqual([1, 2]);
    expect(store.logs.get("a")).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("keeps what only one of the writes that travel together says: the ids of an attempt at its agent", async () => {
    const { store, commits } = open();
    const agentIds = { agentTaskId: "T2", agentContextId: "C2" };
    const outcomes = await Promise.all([
      commits.append(write("a", 0, ["1"])),
      commits.append({ ...write("a", 1, ["2"]), agentIds }),
      commits.append(write("a", 2, ["3"])),
    ]);
    expect(kinds(outcomes)).toEqual(["committed", "committed", "committed"]);
    expect(store.statements).toMatchObject([[{ taskId: "a", agentIds }]]);
  });

  it("never has two writes of one task under way", async () => {
    const { store, commits } = open({ maxStatements: 4 });
    const underWay = new Set<string>();
    let most = 0;
    store.gate = async () => {
      const ids = store.statements.at(-1)?.map(({ taskId }) => taskId) ?? [];
      for (const id of ids) expect(underWay.has(id)).toBe(false);
      for (const id of ids) underWay.add(id);
      most = Math.max(most, underWay.size);
      await new Promise((resolve) => setImmediate(resolve));
      for (const id of ids) underWay.delete(id);
    };
    const pending: Promise<AppendOutcome>[] = [];
    for (let g = 0; g < 20; g += 1) {
      for (const taskId of ["a", "b", "c"]) pending.push(commits.append(write(taskId, g, [`${g}`])));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(new Set(kinds(await Promise.all(pending)))).toEqual(new Set(["committed"]));
    expect(most).toBeGreaterThan(1);
  });

  it("bounds a statement by rows and by size, but lets a single large write through", async () => {
    const { store, commits } = open({ maxRows: 3, maxBytes: 10 });
    await Promise.all([
      commits.append(write("a", 0, ["1", "2"])),
      commits.append(write("a", 2, ["3", "4"])),
      commits.append(write("b", 0, ["x".repeat(50)])),
      commits.append(write("c", 0, ["1"])),
    ]);
    expect(store.statements.map((writes) => writes.map((w) => `${w.taskId}${w.events.length}`))).toEqual([
      ["a2"],
      ["b1"],
      ["c1", "a2"],
    ]);
  });

  it.each<[string, Partial<TaskWrite>, Partial<TaskWrite>]>([
    ["a snapshot, which is of its own generation", { snapshot: { task: "{}" } }, {}],
    ["the end of a turn", { end: { turnId: "t", state: "done", reply: null } }, {}],
    ["another epoch", {}, { epoch: 2 }],
    ["another attempt", {}, { attempt: 2 }],
    ["the first event of a turn", {}, { firstOf: "t" }],
  ])("does not merge across %s", async (_, before, after) => {
    const { store, commits } = open();
    await Promise.all([commits.append(write("a", 0, ["1"], before)), commits.append(write("a", 1, ["2"], after))]);
    expect(store.statements.map((writes) => writes.map((w) => w.events.length))).toEqual([[1], [1]]);
  });

  it("merges first event, middle and end of a turn into one write, and gives the promotion to the last", async () => {
    const { store, commits } = open();
    const end = { turnId: "t", state: "done" as const, reply: null };
    const outcomes = await Promise.all([
      commits.append(write("a", 0, ["1"], { firstOf: "t", cancelAnswered: true })),
      commits.append(write("a", 1, ["2"])),
      commits.append(write("a", 2, ["3"], { end, snapshot: { task: "{}" } })),
    ]);
    expect(store.statements).toMatchObject([
      [{ expected: 0, firstOf: "t", end, snapshot: { task: "{}" }, cancelAnswered: true }],
    ]);
    expect(outcomes).toEqual([
      { kind: "committed", promoted: null, failed: [], closed: [] },
      { kind: "committed", promoted: null, failed: [], closed: [] },
      { kind: "committed", promoted: "next", failed: [], closed: [] },
    ]);
  });

  it("P5: what waits behind a fenced write of its epoch is fenced, and other tasks go on", async () => {
    const { store, commits } = open({ maxRows: 2 });
    store.epochs.set("a", 9);
    const outcomes = await Promise.all([
      commits.append(write("a", 0, ["1", "2"])),
      commits.append(write("a", 2, ["3", "4"])),
      commits.append(write("a", 0, ["9"], { epoch: 9 })),
      commits.append(write("b", 0, ["1"])),
    ]);
    expect(kinds(outcomes)).toEqual(["fenced", "fenced", "committed", "committed"]);
    expect(store.logs.get("a")).toEqual(["9"]);
  });

  it("one poisonous payload fails only its own task, and what builds on it", async () => {
    const { store, commits } = open();
    const tasks = ["a", "b", "c", "d", "e"];
    const good = tasks.map((taskId) => commits.append(write(taskId, 0, ["1"])));
    const bad = commits.append(write("c", 1, ["poison"]));
    const behind = commits.append(write("c", 2, ["3"]));
    const results = await Promise.allSettled([bad, behind]);
    expect(results).toMatchObject([{ reason: { kind: "rejected" } }, { reason: { kind: "rejected" } }]);
    expect(new Set(kinds(await Promise.all(good)))).toEqual(new Set(["committed"]));
    expect(store.logs.get("c")).toEqual(["1"]);
    expect(await commits.append(write("c", 1, ["2"]))).toMatchObject({ kind: "committed" });
  });

  it("P11: keeps everything in order through an outage, with a bounded pause", async () => {
    const { store, clock, commits } = open();
    store.faults = Array.from({ length: 12 }, () => "unavailable");
    const outcomes = await Promise.all([commits.append(write("a", 0, ["1"])), commits.append(write("b", 0, ["1"]))]);
    expect(kinds(outcomes)).toEqual(["committed", "committed"]);
    expect(clock.sleeps).toHaveLength(12);
    expect(Math.max(...clock.sleeps)).toBeLessThanOrEqual(1000);
  });

  it("repeats a conflict at once", async () => {
    const { store, clock, commits } = open();
    store.faults = ["conflict", "conflict"];
    expect(await commits.append(write("a", 0, ["1"]))).toMatchObject({ kind: "committed" });
    expect(clock.sleeps).toEqual([]);
  });

  it.each<[string, ScriptedStore["faults"]]>([
    ["before it ran", ["lost-before"]],
    ["after it ran", ["lost-after"]],
    ["while it still ran and finished behind the look", ["late"]],
    ["twice", ["lost-before", "late", "lost-after"]],
  ])("I1: a reply that was lost %s leaves every event once", async (_, faults) => {
    const { store, commits } = open();
    store.faults = faults;
    const outcomes = await Promise.all([
      commits.append(write("a", 0, ["1"])),
      commits.append(write("a", 1, ["2"])),
      commits.append(write("b", 0, ["1"])),
    ]);
    expect(kinds(outcomes)).toEqual(["committed", "committed", "committed"]);
    expect(store.logs.get("a")).toEqual(["1", "2"]);
    expect(store.logs.get("b")).toEqual(["1"]);
  });

  it("holds a producer back until the queue is small again", async () => {
    const { store, commits } = open();
    const gates: (() => void)[] = [];
    store.gate = () => new Promise((resolve) => void gates.push(resolve));
    const appended = [commits.append(write("a", 0, ["12345"])), commits.append(write("b", 0, ["123"]))];
    const pending = commits.pendingBytes;
    expect(pending).toBeGreaterThan(8);
    let drained = false;
    const draining = commits.drained(pending - 4).then(() => {
      drained = true;
    });
    await expect.poll(() => gates.length).toBe(1);
    expect(drained).toBe(false);
    gates.shift()?.();
    await Promise.all([...appended, draining]);
    expect(commits.pendingBytes).toBe(0);
    await commits.drained(0);
  });

  it("when stopped rejects what is not recorded, and takes nothing more", async () => {
    const { store, commits } = open();
    const gates: (() => void)[] = [];
    store.gate = () => new Promise((resolve) => void gates.push(resolve));
    const underWay = commits.append(write("a", 0, ["1"]));
    await expect.poll(() => gates.length).toBe(1);
    const queued = Promise.allSettled([commits.append(write("b", 0, ["1"]))]);
    const stopped = commits.stop();
    gates.shift()?.();
    await stopped;
    expect(await queued).toMatchObject([{ reason: { kind: "unavailable" } }]);
    expect(await underWay).toMatchObject({ kind: "committed" });
    await expect(commits.append(write("a", 1, ["2"]))).rejects.toMatchObject({ kind: "unavailable" });
  });

  it("I1: whatever fails and however writes are grouped, each task's log is what was appended, in order", async () => {
    const fault = fc.constantFrom("none", "conflict", "unavailable", "lost-before", "lost-after", "late");
    const step = fc.record({
      task: fc.constantFrom("a", "b", "c"),
      size: fc.integer({ min: 1, max: 4 }),
      pause: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { maxLength: 12 }),
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 1, max: 3 }),
        async (faults, steps, maxStatements) => {
          // A late statement is only late once: the scripted store keeps one.
          const { store, commits } = open({ maxStatements: faults.includes("late") ? 1 : maxStatements, maxRows: 5 });
          store.faults = faults as ScriptedStore["faults"];
          const expected = new Map<string, string[]>();
          const pending: Promise<AppendOutcome>[] = [];
          for (const { task, size, pause } of steps) {
            const log = expected.get(task) ?? [];
            const payloads = Array.from({ length: size }, (_, index) => `${task}${log.length + index}`);
            pending.push(commits.append(write(task, log.length, payloads)));
            expected.set(task, [...log, ...payloads]);
            if (pause) await new Promise((resolve) => setImmediate(resolve));
          }
          expect(new Set(kinds(await Promise.all(pending)))).toEqual(new Set(["committed"]));
          for (const [task, log] of expected) expect(store.logs.get(task)).toEqual(log);
          expect(commits.pendingBytes).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });
});
