import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventWindow, resumePoint, succession } from "./replay.ts";

describe("resumePoint", () => {
  const rows: [string, string | null | undefined, { generation: number; terminal: boolean }, unknown][] = [
    ["no cursor means a snapshot first", undefined, { generation: 5, terminal: false }, { kind: "snapshot" }],
    [
      "a cursor below the head goes on behind it",
      "3",
      { generation: 5, terminal: false },
      { kind: "after", generation: 3 },
    ],
    [
      "a cursor at the head of a living task waits",
      "5",
      { generation: 5, terminal: false },
      { kind: "after", generation: 5 },
    ],
    [
      "a cursor at the head of a finished task has everything",
      "5",
      { generation: 5, terminal: true },
      { kind: "ended" },
    ],
    ["a finished task still sends its tail", "4", { generation: 5, terminal: true }, { kind: "after", generation: 4 }],
    ["a cursor beyond the head counts as absent", "6", { generation: 5, terminal: false }, { kind: "snapshot" }],
    ["another server's cursor counts as absent", "b0c4-11", { generation: 5, terminal: false }, { kind: "snapshot" }],
    ["zero counts as absent", "0", { generation: 5, terminal: false }, { kind: "snapshot" }],
    ["a padded number counts as absent", "03", { generation: 5, terminal: false }, { kind: "snapshot" }],
    ["a fraction counts as absent", "3.0", { generation: 5, terminal: false }, { kind: "snapshot" }],
    [
      "a number beyond exact integers counts as absent",
      "99999999999999999999",
      { generation: 5, terminal: false },
      { kind: "snapshot" },
    ],
  ];
  test.each(rows)("P3: %s", (_name, cursor, head, expected) => {
    expect(resumePoint(cursor, head)).toEqual(expected);
  });
});

test("succession tells next, gap and repeat", () => {
  expect([succession(4, 5), succession(4, 6), succession(4, 4), succession(0, 1), succession(4, 1)]).toEqual([
    "next",
    "gap",
    "repeat",
    "next",
    "repeat",
  ]);
});

describe("EventWindow", () => {
  const event = (generation: number, size = 1): { generation: number; payload: string } => ({
    generation,
    payload: "x".repeat(size),
  });

  test("holds the newest event even when it alone is over the bound", () => {
    const window = new EventWindow(8, 10);
    window.add(event(1, 4));
    window.add(event(2, 50));
    expect([window.at(1), window.at(2)?.payload.length, window.length]).toEqual([undefined, 50, 1]);
  });

  test("starts again after a gap, so that it never spans one", () => {
    const window = new EventWindow(8, 100);
    window.add(event(1));
    window.add(event(2));
    window.add(event(5));
    expect([window.at(2), window.at(4), window.at(5)?.generation, window.length, window.size]).toEqual([
      undefined,
      undefined,
      5,
      1,
      1,
    ]);
  });

  test("I6: whatever is added, it holds a gapless run that ends with the newest event and stays within its bounds", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 9 })), { maxLength: 200 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 30 }),
        (steps, maxEvents, maxSize) => {
          const window = new EventWindow<{ generation: number; payload: string }>(maxEvents, maxSize);
          let newest = 0;
          for (const [step, size] of steps) {
            newest += step;
            window.add(event(newest, size));
            const held = [];
            for (let generation = 1; generation <= newest + 1; generation += 1) {
              const found = window.at(generation);
              expect(found?.generation ?? generation).toBe(generation);
              if (found !== undefined) held.push(found);
            }
            expect(held.at(-1)?.generation).toBe(newest);
            expect(held.length).toBe(window.length);
            expect(newest - (held[0]?.generation ?? 0)).toBe(held.length - 1);
            expect(window.length).toBeLessThanOrEqual(maxEvents);
            const size2 = held.reduce((sum, one) => sum + one.payload.length, 0);
            expect(window.size).toBe(size2);
            expect(held.length === 1 || size2 <= maxSize).toBe(true);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
