/** What a sidecar needs before it has done anything, and what each subscriber who waits adds. */
import { setTimeout as delay } from "node:timers/promises";
import type { OpenStream } from "./client.ts";
import { streamSend, streamTask } from "./client.ts";
import { residentKilobytes } from "./process-cost.ts";
import type { Row } from "./report.ts";
import { mb, ms } from "./report.ts";
import type { Pod, Running, Stage } from "./stage.ts";
import { killPod } from "./stage.ts";
import { median } from "./statistics.ts";

const STARTS = 3;
const START_BAR_MS = 400;
const MEMORY_BAR_MB = 100;
const SUBSCRIBERS = 2_000;
/** Subscribers that come first and are not counted: they pay for what all share. */
const FIRST_SUBSCRIBERS = 200;
const TASKS = 200;
const SUBSCRIBER_BAR_KB = 20;
const AT_ONCE = 50;
/** Until memory is what stays. */
const SETTLE_MS = 1_500;

/** On pods of their own, beside a process that only passes on. `sender` begins the tasks that are watched. */
export async function measureFootprint(stage: Stage, sender: Pod, agentKey: string): Promise<Row[]> {
  const bare: number[] = [];
  const starts: number[] = [];
  for (let n = 0; n < STARTS; n += 1) {
    const startedAt = performance.now();
    const started = await stage.startHop(sender.agent.url);
    bare.push(performance.now() - startedAt);
    await started.process.stop();
    const pod = await stage.startPod(agentKey);
    starts.push(pod.startMs);
    await killPod(pod);
  }
  const hop = await stage.startHop(sender.agent.url);
  const pod = await stage.startPod(agentKey);
  await delay(SETTLE_MS);
  const [hopMemory, memory] = [
    await residentKilobytes(hop.process.pid),
    await residentKilobytes(pod.sidecar.process.pid),
  ];
  await hop.process.stop();
  const each = await measureSubscribers(stage, sender, pod);
  await killPod(pod);
  const start = median(starts);
  return [
    {
      what: "start to ready, database migrated",
      beside: `hop ${ms(median(bare))}`,
      ours: ms(start),
      ratio: start / median(bare),
      bar: `≤ ${START_BAR_MS} ms`,
      kept: start <= START_BAR_MS,
    },
    {
      what: "memory, idle",
      beside: `hop ${mb(hopMemory)}`,
      ours: mb(memory),
      ratio: memory / hopMemory,
      bar: `≤ ${MEMORY_BAR_MB} MB`,
      kept: memory <= MEMORY_BAR_MB * 1024,
    },
    {
      what: `memory per idle subscriber (${SUBSCRIBERS} on ${TASKS} tasks)`,
      beside: `direct ${each.direct.toFixed(1)} kB`,
      ours: `${each.ours.toFixed(1)} kB`,
      ratio: each.ours / each.direct,
      bar: `≤ ${SUBSCRIBER_BAR_KB} kB`,
      kept: each.ours <= SUBSCRIBER_BAR_KB,
    },
  ];
}

/** Kilobytes that each subscriber of `pod` adds to it, and each stream to an agent that does nothing but hold it open. */
async function measureSubscribers(stage: Stage, sender: Pod, pod: Pod): Promise<{ ours: number; direct: number }> {
  const held = await openMany(TASKS, () => streamSend(sender.sidecar.url, "hold"));
  const ids = await Promise.all(held.map((stream) => stream.taskId));
  const ours = await kilobytesEach(pod.sidecar, (n) => streamTask(pod.sidecar.url, ids[n % TASKS] ?? ""));
  for (const stream of held) stream.close();
  const bare = await stage.startAgent();
  const direct = await kilobytesEach(bare, () => streamSend(bare.url, "hold"));
  await bare.process.stop();
  return { ours, direct };
}

async function kilobytesEach({ process: { pid } }: Running, open: (n: number) => OpenStream): Promise<number> {
  const first = await openMany(FIRST_SUBSCRIBERS, open);
  await delay(SETTLE_MS);
  const before = await residentKilobytes(pid);
  const counted = await openMany(SUBSCRIBERS, open);
  await delay(SETTLE_MS);
  const after = await residentKilobytes(pid);
  for (const stream of [...counted, ...first]) stream.close();
  return (after - before) / SUBSCRIBERS;
}

/** Opens streams and waits for the first event of each. */
async function openMany(count: number, open: (n: number) => OpenStream): Promise<OpenStream[]> {
  const streams: OpenStream[] = [];
  while (streams.length < count) {
    const group = Array.from({ length: Math.min(AT_ONCE, count - streams.length) }, (_, n) => open(streams.length + n));
    await Promise.all(group.map((stream) => stream.taskId));
    streams.push(...group);
  }
  return streams;
}
