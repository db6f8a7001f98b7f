/**
 * P1 to P8 under random faults: pods and containers killed, paused and replaced, NATS and Postgres away, connections cut
 * and half open, while clients send, stream, follow, answer, cancel and repeat themselves.
 *
 * A run is decided by its seed, which a failure names: `SEED=<seed> AGENT=<agent> make chaos` plays it again. The same
 * runs by the hundred: `make chaos RUNS=200 REPLICAS=2`.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeRun, playRun } from "../chaos/run.ts";
import type { World } from "../chaos/world.ts";
import { openWorld } from "../chaos/world.ts";
import type { Subject } from "./support/subject.ts";
import { JS_03, JS_1, RAW_1 } from "./support/subject.ts";

interface Setting {
  subject: Subject;
  pods: number;
  /** Random seeds to play. */
  runs: number;
  /** Seeds that once failed, each with what came out of it. */
  failed: readonly { seed: number; because: string }[];
}

const SETTINGS: readonly Setting[] = [
  { subject: JS_1, pods: 2, runs: 4, failed: [] },
  { subject: JS_03, pods: 3, runs: 3, failed: [] },
  { subject: RAW_1, pods: 2, runs: 3, failed: [] },
];

const SIZE = { conversations: 24, faults: 6, spanMs: 5_000 };
const RUN_DEADLINE_MS = 90_000;

describe.each(SETTINGS)("$pods pods of a $subject.name agent", ({ subject, pods, runs, failed }) => {
  let world: World;

  beforeAll(async () => {
    world = await openWorld(subject, pods);
  });
  afterAll(() => world?.close());

  async function play(seed: number): Promise<void> {
    const report = await playRun(world, seed, SIZE);
    console.log(`${subject.agent} × ${pods}, ${describeRun(report)}`);
    expect(
      report.violations,
      `SEED=${seed} AGENT=${subject.agent} REPLICAS=${pods}; ${report.faults.join("; ")}`,
    ).toEqual([]);
  }

  test.each(failed)("seed $seed: $because", { timeout: RUN_DEADLINE_MS }, ({ seed }) => play(seed));

  test.each(Array.from({ length: runs }, (_, n) => n + 1))(
    "P1, P2, P3, P4, P5, P6, P7, P8 hold in random run %i",
    { timeout: RUN_DEADLINE_MS },
    () => play(Math.floor(Math.random() * 2 ** 31)),
  );
});
