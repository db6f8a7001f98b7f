/** What a recorded unary call costs over a direct one, beside the least that hop and record can cost. */
import { sendOnce } from "./client.ts";
import type { FloorRows } from "./floor-rows.ts";
import { cpuMilliseconds } from "./process-cost.ts";
import type { Row } from "./report.ts";
import { ms } from "./report.ts";
import type { Pod, Running } from "./stage.ts";
import { quantile, timeEach } from "./statistics.ts";

const BLOCKS = 12;
const CALLS_PER_BLOCK = 50;
const WARM_UP_CALLS = 250;
/** Times the floor. */
const BAR = 1.5;
/** What the peer takes that records nothing. */
const P90_BAR_MS = 1.5;

interface Variant {
  run: () => Promise<unknown>;
  /** Whose processor time the calls cost. */
  pid: number;
  times: number[];
  cpuMs: number;
}

/** One caller, one call at a time; the three take turns, so that what disturbs the machine disturbs all alike. */
export async function measureUnaryCalls(pod: Pod, hop: Running, rows: FloorRows): Promise<Row[]> {
  const direct: Variant = { run: () => sendOnce(pod.agent.url), pid: pod.agent.process.pid, times: [], cpuMs: 0 };
  const ours: Variant = { run: () => sendOnce(pod.sidecar.url), pid: pod.sidecar.process.pid, times: [], cpuMs: 0 };
  const floor: Variant = {
    run: async () => {
      await rows.insertRelaxed();
      await sendOnce(hop.url);
      await rows.insert();
    },
    pid: hop.process.pid,
    times: [],
    cpuMs: 0,
  };
  const order = [direct, ours, floor];
  for (const { run } of order) await timeEach(WARM_UP_CALLS, run);
  for (let block = 0; block < BLOCKS; block += 1) {
    for (const variant of order) {
      const before = await cpuMilliseconds(variant.pid);
      variant.times.push(...(await timeEach(CALLS_PER_BLOCK, variant.run)));
      variant.cpuMs += (await cpuMilliseconds(variant.pid)) - before;
    }
    order.push(...order.splice(0, 1));
  }
  const rowsOfTime = [0.5, 0.9].map((share) => {
    const base = quantile(direct.times, share);
    const least = quantile(floor.times, share) - base;
    const added = quantile(ours.times, share) - base;
    const ratio = added / least;
    const allows = share === 0.9 && least * BAR <= P90_BAR_MS;
    return {
      what: `unary call, recorded, p${share * 100}`,
      beside: `direct ${ms(base)}, floor +${ms(least)}`,
      ours: `+${ms(added)}`,
      ratio,
      bar: `≤ ${BAR}${allows ? `, ≤ ${P90_BAR_MS} ms` : ""}`,
      kept: ratio <= BAR && (!allows || added <= P90_BAR_MS),
    };
  });
  return [
    ...rowsOfTime,
    {
      what: "unary call, recorded, CPU",
      beside: `hop ${ms(floor.cpuMs / floor.times.length)}`,
      ours: ms(ours.cpuMs / ours.times.length),
      ratio: ours.cpuMs / floor.cpuMs,
      bar: "–",
      kept: null,
    },
  ];
}
