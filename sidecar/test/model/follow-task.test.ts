import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/adapters/clock/system-clock.ts";
import { MemoryRelay, MemoryRelayHub } from "../../src/adapters/memory/relay.ts";
import { followTask, type FollowOptions, type Following } from "../../src/flows/follow-task.ts";
import type { Logger } from "../../src/flows/logger.ts";
import { startSafetyPoll, type SafetyPoll } from "../../src/flows/safety-poll.ts";
import { TaskFeeds, type FeedEvent, type TaskFeed } from "../../src/flows/task-feeds.ts";
import { StoreError, type EventRow, type TaskPosition } from "../../src/ports/task-store.ts";
import { waitFor, within } from "../support/wait.ts";

const log: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The record of one task, with pages of random size and calls that fail. */
class Log {
  readonly rows: FeedEvent[] = [];
  exists = true;
  reads = 0;
  positionReads = 0;
  largestPage = 0;
  failing: () => boolean = () => false;
  pageSize: () => number = () => Number.POSITIVE_INFINITY;

  append(terminal = false): FeedEvent {
    const generation = this.rows.length + 1;
    const event: FeedEvent = { generation, epoch: 1, kind: "status", payload: `{"n":${generation}}`, terminal };
    this.rows.push(event);
    return event;
  }

  async readEvents(_taskId: string, after: number, limit: number): Promise<EventRow[]> {
    this.reads += 1;
    if (this.failing()) throw new StoreError("unavailable", "away");
    await Promise.resolve();
    const page = this.rows.slice(after, after + Math.max(1, Math.min(limit, this.pageSize())));
    this.largestPage = Math.max(this.largestPage, page.length);
    return page.map(({ terminal: _terminal, ...row }) => ({ ...row, attempt: 1, hidden: null }));
  }

  async readPositions(taskIds: string[]): Promise<TaskPosition[]> {
    this.positionReads += 1;
    if (this.failing()) throw new StoreError("unavailable", "away");
    await Promise.resolve();
    if (!this.exists) return [];
    const state = this.rows.at(-1)?.terminal === true ? "completed" : "working";
    return taskIds.map((taskId) => ({ taskId, generation: this.rows.length, state }));
  }
}

const polls: SafetyPoll[] = [];
afterEach(async () => {
  for (const poll of polls.splice(0)) {
    poll.stop();
    await poll.done;
  }
});

function twoInstances(record: Log, options: { windowEvents?: number; intervalMs?: number } = {}) {
  const hub = new MemoryRelayHub();
  const relays = { owner: new MemoryRelay(hub), reader: new MemoryRelay(hub) };
  const feedOptions = { clock: systemClock, log, windowEvents: options.windowEvents ?? 256 };
  const owner = new TaskFeeds(relays.owner, feedOptions);
  const reader = new TaskFeeds(relays.reader, feedOptions);
  polls.push(
    startSafetyPoll({
      feeds: reader,
      relay: relays.reader,
      store: record,
      clock: systemClock,
      log,
      intervalMs: options.intervalMs ?? 20,
      awayIntervalMs: 20,
    }),
  );
  return { hub, relays, owner, reader };
}

function follow(feed: TaskFeed, record: Log, options: Partial<FollowOptions> = {}): Following {
  return followTask({
    feed,
    store: record,
    clock: systemClock,
    log,
    after: 0,
    signal: new AbortController().signal,
    ...options,
  });
}

async function collect(following: Following): Promise<number[]> {
  const seen: number[] = [];
  for await (const event of following) seen.push(event.generation);
  return seen;
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1);

describe("a reader on another instance", () => {
  test("I6: gets 1, 2, 3 … whatever the relay loses, repeats and delays, and however the log pages", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<number[]>([0], [0], [], [0, 0], [1], [3, 0], [2]), { minLength: 1, maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 10 }),
        async (fates, pages, windowEvents, failures) => {
          const record = new Log();
          const { hub, owner, reader } = twoInstances(record, { windowEvents, intervalMs: 5 });
          let delivery = 0;
          let page = 0;
          let call = 0;
          hub.plan = () => fates[delivery++ % fates.length] ?? [0];
          record.pageSize = () => pages[page++ % pages.length] ?? 1;
          record.failing = () => failures[call++ % failures.length] === true && call % 3 === 0;
          const feed = reader.open("t");
          const seen = collect(follow(feed, record));
          const total = fates.length;
          for (let n = 1; n <= total; n += 1) {
            owner.committed("t", [record.append(n === total)]);
            if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
          }
          expect(await within(seen, 5_000, "the reader did not end")).toEqual(upTo(total));
          feed.close();
          polls.pop()?.stop();
        },
      ),
      { numRuns: 40 },
    );
  });

  test("P11: with every message lost it gets everything, a poll later", async () => {
    const record = new Log();
    const { hub, owner, reader } = twoInstances(record);
    hub.plan = () => [];
    const feed = reader.open("t");
    const following = follow(feed, record);
    const seen = collect(following);
    for (let n = 1; n <= 10; n += 1) owner.committed("t", [record.append(n === 10)]);
    expect(await within(seen, 2_000, "nothing came")).toEqual(upTo(10));
    expect(following.end).toBe("terminal");
  });

  test("polls at once when the relay is back", async () => {
    const record = new Log();
    const { relays, owner, reader } = twoInstances(record, { intervalMs: 60_000 });
    relays.reader.setConnected(false);
    const feed = reader.open("t");
    const seen = collect(follow(feed, record));
    // The poll is in its long sleep of the connected state when the relay goes and comes back.
    owner.committed("t", [record.append(true)]);
    relays.reader.setConnected(true);
    expect(await within(seen, 2_000, "nothing came")).toEqual([1]);
  });

  test("a payload too large to be relayed is read from the log", async () => {
    const record = new Log();
    const { relays, reader } = twoInstances(record, { intervalMs: 60_000 });
    const feed = reader.open("t");
    const seen = collect(follow(feed, record));
    await Promise.resolve();
    const event = record.append(true);
    relays.owner.publishEvent({ taskId: "t", ...event, payload: null });
    expect(await within(seen, 2_000, "nothing came")).toEqual([1]);
    expect(record.reads).toBe(1);
  });

  test("a head that the record does not have costs a look and no event", async () => {
    const record = new Log();
    const { relays, owner, reader } = twoInstances(record, { intervalMs: 60_000 });
    const feed = reader.open("t");
    const seen = collect(follow(feed, record));
    owner.committed("t", [record.append()]);
    await waitFor(() => feed.head === 1, { message: "the first event did not arrive" });
    relays.owner.publishEvent({ taskId: "t", generation: 9, epoch: 1, kind: "status", payload: null, terminal: false });
    await waitFor(() => record.positionReads > 0 && feed.head === 1, {
      message: () => `the head stayed at ${feed.head}`,
    });
    owner.committed("t", [record.append(true)]);
    expect(await within(seen, 2_000, "the reader did not end")).toEqual([1, 2]);
  });
});

describe("the end of following", () => {
  test("a cursor at the head of a finished task ends at once", async () => {
    const record = new Log();
    const { reader } = twoInstances(record);
    record.append(true);
    const feed = reader.open("t");
    feed.observe(1, true);
    const following = follow(feed, record, { after: 1 });
    expect(await collect(following)).toEqual([]);
    expect([following.end, record.reads]).toEqual(["terminal", 0]);
  });

  test("`until` ends with that generation although the task goes on", async () => {
    const record = new Log();
    const { reader } = twoInstances(record);
    for (let n = 0; n < 9; n += 1) record.append();
    const feed = reader.open("t");
    feed.observe(9, false);
    const following = follow(feed, record, { after: 2, until: 5 });
    expect(await collect(following)).toEqual([3, 4, 5]);
    expect(following.end).toBe("reached");
  });

  test("P12: a swept task ends as gone", async () => {
    const record = new Log();
    const { owner, reader } = twoInstances(record);
    const feed = reader.open("t");
    const following = follow(feed, record);
    const seen = collect(following);
    owner.committed("t", [record.append()]);
    await waitFor(() => feed.head === 1, { message: "the first event did not arrive" });
    record.exists = false;
    expect(await within(seen, 2_000, "the reader did not end")).toEqual([1]);
    expect(following.end).toBe("gone");
  });

  test("a record that went back behind the cursor ends as rewound", async () => {
    const record = new Log();
    const { reader } = twoInstances(record);
    record.append();
    const feed = reader.open("t");
    feed.observe(8, false);
    const following = follow(feed, record, { after: 5 });
    expect(await within(collect(following), 2_000, "the reader did not end")).toEqual([]);
    expect(following.end).toBe("rewound");
  });

  test("a reader that waits learns from the poll that the record went back behind it", async () => {
    const record = new Log();
    const { owner, reader } = twoInstances(record);
    const feed = reader.open("t");
    const following = follow(feed, record);
    const seen = collect(following);
    for (let n = 0; n < 3; n += 1) owner.committed("t", [record.append()]);
    await waitFor(() => feed.head === 3, { message: "the events did not arrive" });
    record.rows.length = 1;
    expect(await within(seen, 2_000, "the reader did not end")).toEqual([1, 2, 3]);
    expect([following.end, feed.head]).toEqual(["rewound", 1]);
  });

  test("a reader that waits learns from a later owner's event that its history is not the record's any more", async () => {
    const record = new Log();
    const { owner, reader } = twoInstances(record, { intervalMs: 60_000 });
    const feed = reader.open("t");
    const following = follow(feed, record);
    const seen = collect(following);
    for (let n = 0; n < 3; n += 1) owner.committed("t", [record.append()]);
    await waitFor(() => feed.head === 3, { message: "the events did not arrive" });
    record.rows.length = 1;
    owner.committed("t", [{ ...record.append(), epoch: 2 }]);
    expect(await within(seen, 2_000, "the reader did not end")).toEqual([1, 2, 3]);
    expect([following.end, feed.head]).toEqual(["rewound", 2]);
  });

  test("a late event of the same history ends nobody, whoever recorded it", async () => {
    const record = new Log();
    const { owner, reader } = twoInstances(record, { intervalMs: 60_000 });
    const feed = reader.open("t");
    const seen = collect(follow(feed, record));
    const events = [1, 1, 2, 2].map((epoch, index) => ({ ...record.append(index === 3), epoch }));
    for (const event of [events[0], events[2], events[1], events[2], events[0]])
      if (event) owner.committed("t", [event]);
    await waitFor(() => feed.head === 3, { message: "the events did not arrive" });
    owner.committed("t", events.slice(3));
    expect(await within(seen, 2_000, "the reader did not end")).toEqual([1, 2, 3, 4]);
    expect(feed.rewinds).toBe(0);
  });

  test("an abort ends a reader that waits, at once", async () => {
    const record = new Log();
    const { reader } = twoInstances(record, { intervalMs: 60_000 });
    const gone = new AbortController();
    const following = follow(reader.open("t"), record, { signal: gone.signal });
    const seen = collect(following);
    await new Promise((resolve) => setImmediate(resolve));
    gone.abort();
    expect(await within(seen, 1_000, "the reader did not end")).toEqual([]);
    expect(following.end).toBe("aborted");
  });

  test("`return` ends a pending `next`", async () => {
    const record = new Log();
    const { reader } = twoInstances(record, { intervalMs: 60_000 });
    const following = follow(reader.open("t"), record);
    const pending = following.next();
    await following.return?.();
    expect(await within(pending, 1_000, "next stayed pending")).toEqual({ done: true, value: undefined });
  });

  test("closing all feeds ends every reader", async () => {
    const record = new Log();
    const { reader } = twoInstances(record, { intervalMs: 60_000 });
    const seen = collect(follow(reader.open("t"), record));
    await new Promise((resolve) => setImmediate(resolve));
    reader.close();
    expect(await within(seen, 1_000, "the reader did not end")).toEqual([]);
  });
});

describe("memory and statements", () => {
  test("a stuck reader holds one page at most and catches up from the log", async () => {
    const record = new Log();
    const { owner } = twoInstances(record);
    const feed = owner.open("t");
    const following = follow(feed, record, { pageRows: 16 });
    for (let n = 1; n <= 5_000; n += 1) owner.committed("t", [record.append(n === 5_000)]);
    const seen = await within(collect(following), 5_000, "the reader did not catch up");
    expect(seen).toEqual(upTo(5_000));
    expect(record.largestPage).toBe(16);
  });

  test("readers that are up to date leave nothing in the window and read nothing from the log", async () => {
    const record = new Log();
    const { owner } = twoInstances(record);
    const feeds = Array.from({ length: 20 }, () => owner.open("t"));
    const readers = feeds.map((feed) => collect(follow(feed, record)));
    for (let n = 1; n <= 50; n += 1) {
      owner.committed("t", [record.append(n === 50)]);
      await new Promise((resolve) => setImmediate(resolve));
      expect(n < 50 && feeds[0]?.at(n)).toBeFalsy();
    }
    for (const seen of await Promise.all(readers)) expect(seen).toEqual(upTo(50));
    expect(record.reads).toBe(0);
  });

  test("the safety poll asks for all waiting tasks in one statement, and for none that was just heard of", async () => {
    const record = new Log();
    const { reader } = twoInstances(record, { intervalMs: 40 });
    const gone = new AbortController();
    const readers = upTo(200).map((n) => collect(follow(reader.open(`t${n}`), record, { signal: gone.signal })));
    await waitFor(() => record.positionReads >= 2, { message: "no poll" });
    expect(record.positionReads).toBeLessThan(10);
    expect(reader.silent(0).size).toBe(200);
    reader.stands({ taskId: "t7", generation: 1, terminal: false, asked: 0 });
    expect(reader.silent(1_000).size).toBe(0);
    gone.abort();
    await Promise.all(readers);
  });

  test("the last handle leaves the relay", () => {
    const record = new Log();
    const { reader } = twoInstances(record);
    const [one, two] = [reader.open("t"), reader.open("t")];
    one.close();
    one.close();
    expect([reader.size, two.closed]).toEqual([1, false]);
    two.close();
    expect(reader.size).toBe(0);
  });

  test("the end of a task is told twice, some time apart", async () => {
    const record = new Log();
    const { hub, owner, reader } = twoInstances(record, { intervalMs: 60_000 });
    const feed = reader.open("t");
    const seen = collect(follow(feed, record));
    let sent = 0;
    hub.plan = () => (sent++ === 0 ? [] : [0]);
    owner.committed("t", [record.append(true)]);
    expect(await within(seen, 2_000, "the repeat did not come")).toEqual([1]);
    expect(sent).toBe(2);
  });
});
