/** How long an event takes from the agent to whoever watches: on the sender's own stream and on another pod's. */
import { connect } from "../../sidecar/test/support/nats-client.ts";
import { streamSend, streamTask } from "./client.ts";
import type { FloorRows } from "./floor-rows.ts";
import { monotonicMicroseconds } from "./moment.ts";
import type { Row } from "./report.ts";
import { ms } from "./report.ts";
import type { Pod, Stage } from "./stage.ts";
import { median, quantile, timeEach } from "./statistics.ts";

const ROUNDS = 3;
const EVENTS = 150;
const SCRIPT = `blast ${EVENTS} every 10ms`;
const P50_BAR = 2;
const P99_BAR_MS = 10;
const FLOOR_SAMPLES = 200;

interface Samples {
  direct: number[];
  own: number[];
  other: number[];
}

/** Events in a steady drip, so that none waits for another; direct, own and other in turns. */
export async function measureEventLatency(stage: Stage, pods: [Pod, Pod], rows: FloorRows): Promise<Row[]> {
  const samples: Samples = { direct: [], own: [], other: [] };
  const commits: number[] = [];
  const hops: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    commits.push(...(await timeEach(FLOOR_SAMPLES, () => rows.insert())));
    hops.push(...(await timeNatsHops(stage.natsUrl)));
    await streamSend(pods[0].agent.url, SCRIPT, latencyInto(samples.direct)).ended;
    await watchOnce(pods, samples);
  }
  const [commit, hop, write] = [median(commits), median(hops), median(samples.direct)];
  const least = commit + hop + write;
  const other = { p50: median(samples.other), p99: quantile(samples.other, 0.99) };
  const own = { p50: median(samples.own), p99: quantile(samples.own, 0.99) };
  const directP99 = quantile(samples.direct, 0.99);
  return [
    {
      what: "event to a subscriber on another pod, p50",
      beside: `commit ${ms(commit)} + NATS ${ms(hop)} + SSE ${ms(write)}`,
      ours: ms(other.p50),
      ratio: other.p50 / least,
      bar: `≤ ${P50_BAR}`,
      kept: other.p50 / least <= P50_BAR,
    },
    {
      what: "event to a subscriber on another pod, p99",
      beside: `direct ${ms(directP99)}`,
      ours: ms(other.p99),
      ratio: other.p99 / directP99,
      bar: `≤ ${P99_BAR_MS} ms`,
      kept: other.p99 <= P99_BAR_MS,
    },
    {
      what: "event to the sender, p50 / p99",
      beside: `direct ${ms(write)} / ${ms(directP99)}`,
      ours: `${ms(own.p50)} / ${ms(own.p99)}`,
      ratio: own.p50 / write,
      bar: "–",
      kept: null,
    },
  ];
}

/** Only events that were written after the watcher had its first one are counted, for both. */
async function watchOnce([a, b]: [Pod, Pod], samples: Samples): Promise<void> {
  let since = Number.POSITIVE_INFINITY;
  const sending = streamSend(a.sidecar.url, SCRIPT, (data) => latencyInto(samples.own, since)(data));
  const watching = streamTask(b.sidecar.url, await sending.taskId, (data) => {
    latencyInto(samples.other, since)(data);
    if (since === Number.POSITIVE_INFINITY) since = monotonicMicroseconds();
  });
  await Promise.all([sending.ended, watching.ended]);
}

function latencyInto(samples: number[], since = 0): (data: string) => void {
  return (data) => {
    const at = monotonicMicroseconds();
    const written = Number(/@(\d+)@/.exec(data)?.[1] ?? 0);
    if (written > since && data.includes('"artifactUpdate"')) samples.push((at - written) / 1000);
  };
}

/** From one connection to another, one message at a time. */
async function timeNatsHops(url: string): Promise<number[]> {
  const [from, to] = [await connect(url), await connect(url)];
  const messages = to.subscribe("bench.hop", {})[Symbol.asyncIterator]();
  await to.flush();
  const times = await timeEach(FLOOR_SAMPLES, async () => {
    from.publish("bench.hop", "x".repeat(400));
    await messages.next();
  });
  await from.close();
  await to.close();
  return times;
}
