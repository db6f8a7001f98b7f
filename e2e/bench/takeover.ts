/** How long a running task stands still when its pod dies, and when its pod is told to go. */
import { setTimeout as delay } from "node:timers/promises";
import { within } from "../../sidecar/test/support/wait.ts";
import { streamSend, streamTask } from "./client.ts";
import type { Row } from "./report.ts";
import { ms } from "./report.ts";
import type { Pod, Stage } from "./stage.ts";
import { killPod } from "./stage.ts";
import { median } from "./statistics.ts";

const LEASE_MS = 1_500;
const GRACE_MS = 500;
const BAR_MS = 500;
const RUNS = 3;
const DEADLINE_MS = 20_000;

/** What ends a pod, and how long after that its work may still be its own. */
interface Ending {
  end: (pod: Pod) => void;
  allowedMs: number;
}

const killed: Ending = { end: (pod) => void killPod(pod), allowedMs: LEASE_MS };

const drained: Ending = { end: ({ sidecar }) => sidecar.process.kill("SIGTERM"), allowedMs: GRACE_MS };

/** To the first event of the next attempt, read on the pod that stays. */
export async function measureTakeover(stage: Stage): Promise<Row[]> {
  const env = { LEASE_MS: String(LEASE_MS), DRAIN_GRACE_MS: String(GRACE_MS) };
  const start = () => stage.startPod("takeover", env);
  const stays = await start();
  const standstills = async (ending: Ending): Promise<number[]> => {
    const times: number[] = [];
    for (let run = 0; run < RUNS; run += 1) {
      const goes = await start();
      // Each run ends the pod at another moment between two renewals of its lease.
      await delay(LEASE_MS / 3 + (run * LEASE_MS) / 9);
      times.push(await standstill(goes, stays, ending));
      await killPod(goes);
    }
    return times;
  };
  const rows = [
    rowOf("takeover after kill -9", `lease ${LEASE_MS} ms`, await standstills(killed), LEASE_MS),
    rowOf("drain hand-over, grace included", `grace ${GRACE_MS} ms`, await standstills(drained), GRACE_MS),
  ];
  await killPod(stays);
  return rows;
}

function rowOf(what: string, beside: string, times: number[], allowedMs: number): Row {
  const worst = Math.max(...times);
  return {
    what: `${what}, ${times.length} runs`,
    beside,
    ours: `${ms(median(times))}, worst ${ms(worst)}`,
    ratio: worst / allowedMs,
    bar: `≤ ${beside.split(" ")[0]} + ${BAR_MS} ms`,
    kept: worst <= allowedMs + BAR_MS,
  };
}

async function standstill(goes: Pod, stays: Pod, { end }: Ending): Promise<number> {
  const taskId = await streamSend(goes.sidecar.url, "hold").taskId;
  const moved = Promise.withResolvers<number>();
  const watching = streamTask(stays.sidecar.url, taskId, (data) => {
    if (data.includes('"statusUpdate"')) moved.resolve(performance.now());
  });
  await watching.taskId;
  const endedAt = performance.now();
  end(goes);
  const movedAt = await within(moved.promise, DEADLINE_MS, "the task goes on elsewhere");
  watching.close();
  return movedAt - endedAt;
}
