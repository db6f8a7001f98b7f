/** What a run has to say for itself: a line, and, where a promise was broken, how to look into it. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunReport } from "./run.ts";
import type { World } from "./world.ts";

/** One line about a run. */
export function describeRun(report: RunReport): string {
  const { seed, tasks, events, shown, turns, starts, retried, seconds, faults, violations } = report;
  const verdict = violations.length === 0 ? "ok" : `${violations.length} VIOLATIONS`;
  const counts = `${tasks} tasks, ${events} events, ${shown} shown, ${starts} starts for ${turns} messages, ${retried} tried again`;
  return `seed ${seed}: ${verdict}; ${counts}; ${faults.length} faults; ${seconds.toFixed(1)} s`;
}

/** The faults of a run, what it broke, how to play it again, and the folder with its traces, which this writes. */
export async function explainRun(world: World, report: RunReport): Promise<string> {
  const { subject, fleet } = world;
  const { seed, faults, violations } = report;
  const traces = await keepTraces(world, report);
  return [
    ...faults.map((fault) => `    ${fault}`),
    ...violations.slice(0, 20).map((violation) => `  ✗ ${violation.slice(0, 2_000)}`),
    `  again: make chaos SEED=${seed} AGENT=${subject.agent} REPLICAS=${fleet.pods.length}; traces in ${traces}`,
  ].join("\n");
}

/** The folder with what is left to look at. */
async function keepTraces(world: World, { seed, record }: RunReport): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `durable-agent-chaos-${seed}-`));
  for (const pod of world.fleet.pods) await writeFile(join(folder, `${pod.name}.jsonl`), pod.log);
  await writeFile(join(folder, "record.jsonl"), record ?? "");
  await writeFile(join(folder, "starts.json"), JSON.stringify(await world.fleet.starts()));
  return folder;
}
