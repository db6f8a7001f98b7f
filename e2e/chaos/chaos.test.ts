/** P1 to P8 under random faults: ten runs, those that failed once first. `make chaos` plays as many as one likes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KNOWN_SEEDS } from "./known-seeds.ts";
import { planChaos } from "./plan.ts";
import { explainRun } from "./report.ts";
import { playRun } from "./run.ts";
import { RUN_SIZE, SUBJECTS } from "./subjects.ts";
import { openWorld, type World } from "./world.ts";

const RUNS = 10;
const REPLICAS = 2;
/** Clients' patience, the wait for rest and the restoring of pods, where everything hangs. */
const DEADLINE_MS = 180_000;

interface Run {
  agent: string;
  seed: number;
  title: string;
}

const known = KNOWN_SEEDS.map(
  ({ agent, seed, broke }): Run => ({ agent, seed, title: `seed ${seed}, once: ${broke}` }),
);
const fresh = freshRuns(Math.max(RUNS - known.length, SUBJECTS.length));

/** Shared out among the subjects. A minute's outage is left to `make chaos`. */
function freshRuns(count: number): Run[] {
  const first = Math.floor(Math.random() * 2 ** 31);
  const seeds = Array.from({ length: 10 * count }, (_, n) => first + n).filter(
    (seed) => planChaos(seed, { ...RUN_SIZE, pods: REPLICAS }).outageMs === 0,
  );
  return seeds
    .slice(0, count)
    .map((seed, n) => ({ agent: SUBJECTS[n % SUBJECTS.length]?.agent ?? "", seed, title: `seed ${seed}` }));
}

describe.each(SUBJECTS)("a $name agent on two replicas", (subject) => {
  let world: World;

  beforeAll(async () => {
    world = await openWorld(subject, REPLICAS);
  });
  afterAll(() => world?.close());

  test.each([...known, ...fresh].filter(({ agent }) => agent === subject.agent))(
    "P1, P2, P3, P4, P5, P6, P7, P8: keeps every promise: $title",
    async ({ seed }) => {
      const report = await playRun(world, seed, RUN_SIZE);
      expect(report.violations.length === 0 ? "" : await explainRun(world, report), "what was broken").toBe("");
      expect(report.tasks, "tasks in the record").toBeGreaterThan(0);
      expect(report.shown, "events that clients were shown").toBeGreaterThan(0);
    },
    DEADLINE_MS,
  );
});
