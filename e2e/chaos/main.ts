/**
 * Many runs of random faults under load (`make chaos RUNS=200 REPLICAS=2`). Exit code 0 only if no run broke a promise.
 *
 * `SEED=<seed> AGENT=<name>` plays one run again. A run that fails prints its faults and what was broken, and leaves the
 * pods' logs in a folder of its own.
 */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stopAllProcesses } from "../../sidecar/test/support/processes.ts";
import { JS_03, JS_1, RAW_1, type Subject } from "../scenarios/support/subject.ts";
import { requireBuiltSidecar } from "../support/replica.ts";
import type { ChaosSize } from "./plan.ts";
import { describeRun, playRun, type RunReport } from "./run.ts";
import { openWorld, type World } from "./world.ts";

const SUBJECTS: readonly Subject[] = [JS_1, JS_03, RAW_1];
/** What begins within one run, unless `CONVERSATIONS` and `FAULTS` say otherwise. */
const SIZE = { conversations: 24, faults: 6, spanMs: 5_000 };

interface Order {
  runs: number;
  replicas: number;
  /** Null: a fresh one, which is printed. */
  seed: number | null;
  subjects: readonly Subject[];
  size: Omit<ChaosSize, "pods">;
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
    ...SIZE,
    conversations: number("CONVERSATIONS", SIZE.conversations),
    faults: number("FAULTS", SIZE.faults),
  };
  return { runs: number("RUNS", seed === null ? 10 : 1), replicas: number("REPLICAS", 2), seed, subjects, size };
}

async function playSubject(subject: Subject, seeds: readonly number[], order: Order): Promise<RunReport[]> {
  const { replicas, size } = order;
  const world = await openWorld(subject, replicas);
  const failed: RunReport[] = [];
  try {
    for (const seed of seeds) {
      const report = await playRun(world, seed, size);
      say(`${subject.agent} × ${replicas}, ${describeRun(report)}`);
      if (report.violations.length === 0) continue;
      failed.push(report);
      for (const fault of report.faults) say(`    ${fault}`);
      for (const violation of report.violations.slice(0, 20)) say(`  ✗ ${violation.slice(0, 2_000)}`);
      say(
        `  again: SEED=${seed} AGENT=${subject.agent} REPLICAS=${replicas}; traces in ${await keepTraces(world, report)}`,
      );
    }
  } finally {
    await world.close();
  }
  return failed;
}

/** The folder with what is left to look at. */
async function keepTraces(world: World, { seed, record }: RunReport): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `durable-agent-chaos-${seed}-`));
  for (const pod of world.fleet.pods) await writeFile(join(folder, `${pod.name}.jsonl`), pod.log);
  await writeFile(join(folder, "record.jsonl"), record ?? "");
  await writeFile(join(folder, "starts.json"), JSON.stringify(await world.fleet.starts()));
  return folder;
}

async function main(): Promise<void> {
  requireBuiltSidecar();
  const order = readOrder(process.env);
  const { runs, replicas, seed, subjects } = order;
  const first = seed ?? Math.floor(Math.random() * 2 ** 31);
  say(`${runs} runs at ${replicas} replicas, seeds from ${first}`);
  const failed: RunReport[] = [];
  for (const [n, subject] of subjects.entries()) {
    // Every subject gets every n-th seed.
    const seeds = Array.from({ length: runs }, (_, run) => run).filter((run) => run % subjects.length === n);
    if (seeds.length > 0)
      failed.push(
        ...(await playSubject(
          subject,
          seeds.map((run) => first + run),
          order,
        )),
      );
  }
  say(failed.length === 0 ? `${runs} runs without a violation` : `${failed.length} of ${runs} runs broke a promise`);
  await stopAllProcesses();
  process.exit(failed.length === 0 ? 0 : 1);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main();
