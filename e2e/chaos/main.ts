/**
 * Many runs of random faults under load (`make chaos RUNS=200 REPLICAS=2`). Exit code 0 only if no run broke a promise.
 *
 * `SEED=<seed> AGENT=<name>` plays one run again. A run that fails prints its faults and what was broken, and leaves the
 * pods' logs in a folder of its own. `JOBS=2` plays two worlds side by side.
 */
import { stopAllProcesses } from "../../sidecar/test/support/processes.ts";
import type { Subject } from "../scenarios/support/subject.ts";
import { requireBuiltSidecar } from "../support/replica.ts";
import type { ChaosSize } from "./plan.ts";
import { describeRun, explainRun } from "./report.ts";
import { playRun } from "./run.ts";
import { RUN_SIZE, SUBJECTS } from "./subjects.ts";
import { openWorld } from "./world.ts";

interface Order {
  runs: number;
  replicas: number;
  /** Worlds at a time. */
  jobs: number;
  /** Null: a fresh one, which is printed. */
  seed: number | null;
  subjects: readonly Subject[];
  size: Omit<ChaosSize, "pods">;
}

/** Runs of one world, one after the other. */
interface Series {
  subject: Subject;
  seeds: number[];
}

function readOrder(env: NodeJS.ProcessEnv): Order {
  const number = (name: string, fallback: number) => {
    const value = Number(env[name] || fallback);
    if (!Number.isInteger(value) || value < 0) throw new Error(`${name}=${env[name]} is not a number`);
    return value;
  };
  const subjects = SUBJECTS.filter((subject) => !env["AGENT"] || env["AGENT"] === subject.agent);
  if (subjects.length === 0)
    throw new Error(`AGENT=${env["AGENT"]}: one of ${SUBJECTS.map((one) => one.agent).join(", ")}`);
  const seed = env["SEED"] ? number("SEED", 0) : null;
  const size = {
    ...RUN_SIZE,
    conversations: number("CONVERSATIONS", RUN_SIZE.conversations),
    faults: number("FAULTS", RUN_SIZE.faults),
  };
  const runs = number("RUNS", seed === null ? 10 : 1);
  return { runs, replicas: number("REPLICAS", 2), jobs: number("JOBS", 1), seed, subjects, size };
}

/** Every subject gets every n-th seed, and as many worlds as play at a time, so that none is left to end alone. */
function planSeries(first: number, { runs, jobs, subjects }: Order): Series[] {
  const series = subjects.flatMap((subject) => Array.from({ length: jobs }, (): Series => ({ subject, seeds: [] })));
  for (let run = 0; run < runs; run += 1) {
    const world = (run % subjects.length) * jobs + (Math.floor(run / subjects.length) % jobs);
    series[world]?.seeds.push(first + run);
  }
  return series.filter(({ seeds }) => seeds.length > 0);
}

/** Resolves with the number of runs that broke a promise. */
async function playSeries({ subject, seeds }: Series, { replicas, size }: Order): Promise<number> {
  const world = await openWorld(subject, replicas);
  let failed = 0;
  try {
    for (const seed of seeds) {
      const report = await playRun(world, seed, size);
      const line = `${subject.agent} × ${replicas}, ${describeRun(report)}`;
      if (report.violations.length === 0) say(line);
      else {
        failed += 1;
        say(`${line}\n${await explainRun(world, report)}`);
      }
    }
  } finally {
    await world.close();
  }
  return failed;
}

async function main(): Promise<void> {
  requireBuiltSidecar();
  const order = readOrder(process.env);
  const { runs, replicas, jobs, seed } = order;
  const first = seed ?? Math.floor(Math.random() * 2 ** 31);
  say(`${runs} runs at ${replicas} replicas, seeds from ${first}`);
  const waiting = planSeries(first, order);
  let failed = 0;
  const job = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const broken = await playSeries(next, order);
      failed += broken;
    }
  };
  await Promise.all(Array.from({ length: jobs }, job));
  say(failed === 0 ? `${runs} runs without a violation` : `${failed} of ${runs} runs broke a promise`);
  await stopAllProcesses();
  process.exit(failed === 0 ? 0 : 1);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main();
