/**
 * The measurements (`make bench`): each beside its alternative or its floor, in the same run, on the same machine, so that
 * the ratios mean something where the milliseconds do not. Linux only. Nothing fails by being slow: it says so.
 */
import { availableParallelism, loadavg } from "node:os";
import { measureEventLatency } from "./event-latency.ts";
import { FloorRows } from "./floor-rows.ts";
import { measureFootprint } from "./footprint.ts";
import type { Row } from "./report.ts";
import { tableOf } from "./report.ts";
import { Stage } from "./stage.ts";
import { measureTakeover } from "./takeover.ts";
import { measureRate, measureTaskSize } from "./task-size.ts";
import { measureUnaryCalls } from "./unary-calls.ts";

const AGENT_KEY = "agent";

async function measure(stage: Stage): Promise<Row[]> {
  const [a, b] = [await stage.startPod(AGENT_KEY), await stage.startPod(AGENT_KEY)];
  const hop = await stage.startHop(a.agent.url);
  const floorRows = await FloorRows.open(stage.databaseUrl);
  const rows: Row[] = [];
  const step = async (name: string, run: () => Promise<Row[]>): Promise<void> => {
    const start = performance.now();
    rows.push(...(await run()));
    process.stderr.write(`  ${name}: ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
  };
  await step("unary calls", () => measureUnaryCalls(a, hop, floorRows));
  await step("event latency", () => measureEventLatency(stage, [a, b], floorRows));
  await step("task size", () => measureTaskSize(a, floorRows));
  await step("event rate", () => measureRate(a, hop));
  await step("footprint", () => measureFootprint(stage, a, AGENT_KEY));
  await floorRows.close();
  await step("takeover", () => measureTakeover(stage));
  return rows;
}

async function main(): Promise<void> {
  const start = performance.now();
  const [loadBefore = 0] = loadavg();
  const stage = await Stage.open();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void stage.close().finally(() => process.exit(1)));
  }
  try {
    const rows = await measure(stage);
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    console.log(`\n${tableOf(rows)}\n`);
    console.log(
      `${seconds} s, ${availableParallelism()} cores, load ${loadBefore.toFixed(1)} before, Node ${process.version}`,
    );
  } finally {
    await stage.close();
  }
  // Connections that were kept to processes that are gone: there is nothing left to wait for.
  process.exit(0);
}

await main();
