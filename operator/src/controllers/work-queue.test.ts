import { describe, expect, test } from "vitest";
import { startWorkQueue } from "./work-queue.ts";

/** A handler whose calls the test lets end one by one. */
function gate() {
  const calls: { key: string; end: (error?: Error) => void }[] = [];
  const handle = (key: string): Promise<Record<string, never>> =>
    new Promise((resolve, reject) => {
      calls.push({ key, end: (error) => (error === undefined ? resolve({}) : reject(error)) });
    });
  return { calls, handle };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("the work queue", () => {
  test("works on a key once however often it was added while it waited", async () => {
    const { calls, handle } = gate();
    const queue = startWorkQueue({ concurrency: 1, handle, onFailure: () => undefined });
    for (const key of ["a", "b", "b", "b"]) queue.add(key);
    calls[0]?.end();
    await settle();
    calls[1]?.end();
    await settle();
    expect(calls.map(({ key }) => key)).toEqual(["a", "b"]);
    await queue.stop();
  });

  test("works on a key again that was added while it was worked on, and never on two of them at once", async () => {
    const { calls, handle } = gate();
    const queue = startWorkQueue({ concurrency: 4, handle, onFailure: () => undefined });
    queue.add("a");
    queue.add("a");
    expect(calls).toHaveLength(1);
    calls[0]?.end();
    await settle();
    expect(calls).toHaveLength(2);
    calls[1]?.end();
    await queue.stop();
  });

  test("tries again after a failure, later each time", async () => {
    const delays: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const queue = startWorkQueue({
      concurrency: 1,
      handle: () => Promise.reject(new Error("refused")),
      onFailure: (_key, _error, retryInMs) => {
        delays.push(retryInMs);
        if (delays.length === 3) resolve();
      },
    });
    queue.add("a");
    await promise;
    await queue.stop();
    expect(delays[1]).toBeGreaterThan(delays[0] ?? 0);
    expect(delays[2]).toBeGreaterThan(delays[1] ?? 0);
  });

  test("an earlier wish wins over a later one", async () => {
    const { calls, handle } = gate();
    const queue = startWorkQueue({ concurrency: 1, handle, onFailure: () => undefined });
    queue.addAfter("a", 60_000);
    queue.addAfter("a", 1);
    await expect.poll(() => calls.length).toBe(1);
    calls[0]?.end();
    await queue.stop();
  });
});
