/** What recording costs by the size of the task, and how many events a core records in a second. */
import { streamSend } from "./client.ts";
import type { FloorRows } from "./floor-rows.ts";
import { cpuMilliseconds } from "./process-cost.ts";
import type { Row } from "./report.ts";
import { mb, ms } from "./report.ts";
import type { Pod, Running } from "./stage.ts";

const SMALL = 1_000;
const LARGE = 10_000;
const SMALL_TASKS = 20;
const LARGE_TASKS = 2;
const GROWTH_BAR = 11;
const STREAMS = 4;
const RATE_BAR = 15_000;
/** The Task before the chunks and the status after them. */
const FRAME_EVENTS = 2;

interface Cost {
  cpuMs: number;
  wallMs: number;
}

/** The same number of events, in many tasks and in few. */
export async function measureTaskSize(pod: Pod, rows: FloorRows): Promise<Row[]> {
  const blast = async (size: number, tasks: number) => {
    const before = await rows.recordKilobytes();
    const { cpuMs } = await costOf(pod.sidecar, async () => {
      for (let n = 0; n < tasks; n += 1) await readBlast(pod.sidecar.url, size);
    });
    return { cpuMs: cpuMs / tasks, kilobytes: ((await rows.recordKilobytes()) - before) / tasks };
  };
  await blast(SMALL, 5);
  const small = await blast(SMALL, SMALL_TASKS);
  const large = await blast(LARGE, LARGE_TASKS);
  const [cpu, stored] = [large.cpuMs / small.cpuMs, large.kilobytes / small.kilobytes];
  return [
    growthRow("sidecar CPU", ms(small.cpuMs), ms(large.cpuMs), cpu),
    growthRow("bytes stored", mb(small.kilobytes), mb(large.kilobytes), stored),
  ];
}

function growthRow(what: string, small: string, large: string, ratio: number): Row {
  return {
    what: `task of 10 000 events, ${what}`,
    beside: `1 000 events: ${small}`,
    ours: large,
    ratio,
    bar: `≤ ${GROWTH_BAR}`,
    kept: ratio <= GROWTH_BAR,
  };
}

/** Beside a process that only passes the same streams on. */
export async function measureRate(pod: Pod, hop: Running): Promise<Row[]> {
  const passed = await rateOf(hop);
  const recorded = await rateOf(pod.sidecar);
  return [
    {
      what: `events per second of sidecar CPU, ${STREAMS} streams`,
      beside: `hop ${Math.round(passed.perCore)} passed on`,
      ours: `${Math.round(recorded.perCore)} recorded (${Math.round(recorded.perSecond)} by the clock)`,
      ratio: recorded.perCore / passed.perCore,
      bar: `≥ ${RATE_BAR}`,
      kept: recorded.perCore >= RATE_BAR,
    },
  ];
}

async function rateOf(process: Running): Promise<{ perCore: number; perSecond: number }> {
  const { cpuMs, wallMs } = await costOf(process, async () => {
    await Promise.all(Array.from({ length: STREAMS }, () => readBlast(process.url, LARGE)));
  });
  const events = STREAMS * (LARGE + FRAME_EVENTS);
  return { perCore: (events / cpuMs) * 1000, perSecond: (events / wallMs) * 1000 };
}

async function readBlast(url: string, size: number): Promise<void> {
  const events = await streamSend(url, `blast ${size}`).ended;
  if (events !== size + FRAME_EVENTS) throw new Error(`${events} events of ${size + FRAME_EVENTS}`);
}

async function costOf({ process }: Running, run: () => Promise<void>): Promise<Cost> {
  const [cpu, start] = [await cpuMilliseconds(process.pid), performance.now()];
  await run();
  return { cpuMs: (await cpuMilliseconds(process.pid)) - cpu, wallMs: performance.now() - start };
}
