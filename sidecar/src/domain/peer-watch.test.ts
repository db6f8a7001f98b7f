import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { observe, openPeerWatch, type PeerPulse, wasHeardOf } from "./peer-watch.ts";

const LEASE_MS = 3_000;
const at = (ms: number) => ({ sentMs: ms, answeredMs: ms });
const peer = (renewals: number, expired = true): PeerPulse => ({ id: "x", renewals, expired });

/** What each of several instant reads yields. */
function yields(reads: { ms: number; pulses: PeerPulse[] }[]): string[][] {
  const watch = openPeerWatch(LEASE_MS);
  return reads.map(({ ms, pulses }) => observe(watch, at(ms), pulses));
}

/** Reads of one peer every 500 ms. */
const steady = (pulses: PeerPulse[]) => yields(pulses.map((pulse, index) => ({ ms: index * 500, pulses: [pulse] })));

describe("who may be claimed from", () => {
  it.each<[string, PeerPulse[], boolean]>([
    ["a counter that stood still for a lease, expired at the store", Array(7).fill(peer(4)), true],
    ["one that stood still for less", Array(6).fill(peer(4)), false],
    ["one whose lease still runs at the store", Array(9).fill(peer(4, false)), false],
    ["one that moved half way", [...Array(3).fill(peer(4)), ...Array(6).fill(peer(5))], false],
    ["one that moved half way, a lease later", [...Array(3).fill(peer(4)), ...Array(7).fill(peer(5))], true],
    [
      "one that moves at every read, though the store's clock jumped",
      [1, 2, 3, 4, 5, 6, 7, 8].map((n) => peer(n)),
      false,
    ],
    ["one that went back, as after a restored store", [...Array(6).fill(peer(9)), peer(8)], false],
  ])("%s", (_, pulses, claimable) => {
    expect(steady(pulses).at(-1)).toEqual(claimable ? ["x"] : []);
  });

  test("a silent one stays claimable until it moves", () => {
    expect(steady([...Array(9).fill(peer(4)), peer(5)]).slice(6)).toEqual([["x"], ["x"], ["x"], []]);
  });

  test("each is judged by itself", () => {
    const reads = [0, 1, 2, 3, 4, 5, 6].map((step) => ({
      ms: step * 500,
      pulses: [
        { id: "dead", renewals: 7, expired: true },
        { id: "alive", renewals: step, expired: false },
        ...(step >= 3 ? [{ id: "late", renewals: 1, expired: true }] : []),
      ],
    }));
    expect(yields(reads).at(-1)).toEqual(["dead"]);
  });

  test("one that vanished is forgotten: when it comes back it is waited for again", () => {
    const seen = { ms: 0, pulses: [peer(4)] };
    const reads = [0, 500, 1_000, 1_500, 2_000, 2_500, 3_000].map((ms) => ({ ...seen, ms }));
    expect(yields(reads.map((read, index) => (index === 3 ? { ...read, pulses: [] } : read))).at(-1)).toEqual([]);
  });

  test("one that has released all it held is not waited for, and is waited for when it holds again", () => {
    const released = { ...peer(4, false), released: true };
    expect(steady([released, ...Array(6).fill(peer(4)), peer(4)]).map((ids) => ids.length)).toEqual([
      1, 0, 0, 0, 0, 0, 0, 1,
    ]);
  });
});

describe("reads with a gap", () => {
  const reads = (gapMs: number) => [0, 1_000, 2_000, 2_000 + gapMs].map((ms) => ({ ms, pulses: [peer(4)] }));

  test("a third of a lease between two reads is none", () => {
    expect(yields(reads(1_000)).at(-1)).toEqual(["x"]);
  });

  test("more restarts the wait", () => {
    expect(yields(reads(1_001)).at(-1)).toEqual([]);
    const later = [4_001, 5_001, 6_000].map((ms) => ({ ms, pulses: [peer(4)] }));
    expect(yields([...reads(1_001), ...later]).at(-1)).toEqual([]);
    expect(yields([...reads(1_001), ...later, { ms: 6_001, pulses: [peer(4)] }]).at(-1)).toEqual(["x"]);
  });

  test("a clock that runs backwards restarts it too", () => {
    const back = [0, 1_000, 900, 1_900, 2_900, 3_800].map((ms) => ({ ms, pulses: [peer(4)] }));
    expect(yields(back).at(-1)).toEqual([]);
  });

  test("an answer that came late counts for its question's moment", () => {
    const watch = openPeerWatch(LEASE_MS);
    const slow = [0, 700, 1_400, 2_100, 2_800].map((sentMs) => ({ sentMs, answeredMs: sentMs + 600 }));
    // The last answer came 3 400 ms after the first question, but the question was asked 2 200 ms after the first answer.
    expect(slow.map((read) => observe(watch, read, [peer(4)])).at(-1)).toEqual([]);
  });
});

/** Reads at random times, each true of some moment between question and answer, of a counter that moves at random times. */
const observation = fc.record({
  moves: fc.array(fc.nat(20_000), { maxLength: 12 }).map((times) => times.sort((one, other) => one - other)),
  reads: fc.array(
    fc.record({
      waitMs: fc.oneof({ weight: 8, arbitrary: fc.nat(500) }, { weight: 1, arbitrary: fc.nat(6_000) }),
      toStoreMs: fc.oneof({ weight: 8, arbitrary: fc.nat(100) }, { weight: 1, arbitrary: fc.nat(2_500) }),
      toReaderMs: fc.oneof({ weight: 8, arbitrary: fc.nat(100) }, { weight: 1, arbitrary: fc.nat(2_500) }),
      expired: fc.boolean(),
    }),
    { minLength: 20, maxLength: 80 },
  ),
});

describe("P11: no outage and no jump of any clock makes a living owner look dead", () => {
  test("nobody is claimed from whose counter moved within the last lease, whatever the store's clock says", () => {
    let claims = 0;
    fc.assert(
      fc.property(observation, ({ moves, reads }) => {
        const watch = openPeerWatch(LEASE_MS);
        let nowMs = 0;
        for (const { waitMs, toStoreMs, toReaderMs, expired } of reads) {
          const sentMs = nowMs + waitMs;
          const readMs = sentMs + toStoreMs;
          nowMs = readMs + toReaderMs;
          const renewals = moves.filter((ms) => ms <= readMs).length;
          const claimable = observe(watch, { sentMs, answeredMs: nowMs }, [{ id: "x", renewals, expired }]);
          if (claimable.length === 0) continue;
          claims++;
          expect(expired).toBe(true);
          expect(moves.filter((ms) => ms > readMs - LEASE_MS && ms <= readMs)).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
    expect(claims).toBeGreaterThan(100);
  });

  test("an outage of the store, however long, lets owners that renew when it is over keep their work", () => {
    const outages = fc.array(fc.tuple(fc.integer({ min: 500, max: 8_000 }), fc.integer({ min: 1, max: 60_000 })), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(outages, fc.nat(999), (spans, phaseMs) => {
        const watch = openPeerWatch(LEASE_MS);
        let renewals = 1;
        let renewedMs = 0;
        let lastReadMs = 0;
        let nowMs = 0;
        const run = (untilMs: number, storeIsUp: boolean) => {
          for (; nowMs < untilMs; nowMs++) {
            if (!storeIsUp) continue;
            // A renewal every third of the lease, at the latest a third after the outage.
            if (nowMs % 1_000 === phaseMs) {
              renewals++;
              renewedMs = nowMs;
            }
            if (nowMs - lastReadMs < 200) continue;
            lastReadMs = nowMs;
            const expired = nowMs - renewedMs > LEASE_MS;
            expect(observe(watch, at(nowMs), [{ id: "x", renewals, expired }])).toEqual([]);
          }
        };
        for (const [upMs, downMs] of spans) {
          run(nowMs + upMs, true);
          run(nowMs + downMs, false);
        }
        run(nowMs + 10_000, true);
      }),
      { numRuns: 60 },
    );
  });

  test("a dead one is claimable two reads after its lease at the latest, or after the reader's first read", () => {
    fc.assert(
      fc.property(fc.nat(5_000), fc.nat(199), (diedMs, phaseMs) => {
        const watch = openPeerWatch(LEASE_MS);
        const latestMs = Math.max(diedMs, phaseMs) + LEASE_MS + 400;
        let claimedMs = Number.POSITIVE_INFINITY;
        for (let ms = phaseMs; ms <= latestMs; ms += 200) {
          const pulse = { id: "x", renewals: Math.min(ms, diedMs), expired: ms - diedMs >= LEASE_MS };
          if (observe(watch, at(ms), [pulse]).length > 0) claimedMs = Math.min(claimedMs, ms);
        }
        expect(claimedMs).toBeLessThanOrEqual(latestMs);
        expect(claimedMs).toBeGreaterThanOrEqual(diedMs + LEASE_MS);
      }),
    );
  });
});

describe("who was heard of lately", () => {
  const watch = openPeerWatch(LEASE_MS);
  observe(watch, at(0), [peer(1)]);
  observe(watch, at(500), [peer(2)]);
  observe(watch, at(1_000), [peer(2)]);

  it.each([
    ["within a lease after its counter moved, though its lease is over at the store", "x", 3_400, true],
    ["a lease after its counter moved no more", "x", 3_500, false],
    ["one that is in no read", "y", 1_000, false],
  ])("%s", (_, id, nowMs, heard) => {
    expect(wasHeardOf(watch, id, nowMs)).toBe(heard);
  });
});
