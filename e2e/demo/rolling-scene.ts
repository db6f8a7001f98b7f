/** Every replica is replaced while clients work on: streams of any length, and calls shorter than the grace. */
import { setTimeout as delay } from "node:timers/promises";
import type { Stage } from "./stage.ts";
import type { DemoClient, Seen } from "./client.ts";
import { attempt, describeError, foldText } from "./client.ts";

const STREAMS = 4;
const CALLERS = 3;
/** Longer than the grace: every restart meets some of them in the middle. */
const NUMBERS = 160;
const CALL = "slow 100";
/** How long a load balancer still sends to an instance that has become unready. */
const UNAWARE_MS = 400;

interface Tally {
  streams: number;
  resumed: number;
  calls: number;
  failed: string[];
}

/** Replaces one replica after the other, under load. */
export async function restartEverything(stage: Stage): Promise<void> {
  const { timeline, flavour, fleet } = stage;
  timeline.scene("Every replica is replaced, under load, and no task fails");
  const tally: Tally = { streams: 0, resumed: 0, calls: 0, failed: [] };
  const done = new AbortController();
  const client = await flavour.connect(fleet.balancer.url);
  const load = [
    ...Array.from({ length: STREAMS }, () => repeat(done.signal, () => streamOnce(client, tally))),
    ...Array.from({ length: CALLERS }, () => repeat(done.signal, () => callOnce(client, tally))),
  ];
  timeline.note("client", `${STREAMS} streams "count ${NUMBERS}" and ${CALLERS} callers, through the balancer`);
  for (const old of fleet.replicas.slice()) {
    const fresh = await fleet.replace(old);
    fleet.balancer.setBackends([...fleet.replicas, old]);
    timeline.note(old.name, `replaced by ${fresh.name}: SIGTERM`);
    const stopped = old.stop();
    await delay(UNAWARE_MS);
    fleet.balancer.setBackends(fleet.replicas);
    await stopped;
  }
  done.abort();
  await Promise.all(load);
  timeline.note("client", `${tally.streams} streams (${tally.resumed} lost their pod) and ${tally.calls} calls`);
  timeline.expect("every stream and every call came to its whole result", tally.failed.length === 0, () =>
    tally.failed.slice(0, 3).join("; "),
  );
  timeline.expect("among them streams whose pod was taken away", tally.resumed > 0);
}

async function repeat(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) await work();
}

async function callOnce(client: DemoClient, tally: Tally): Promise<void> {
  const sent = await attempt(client.send(CALL));
  tally.calls += 1;
  if (!sent.ok) tally.failed.push(`a call: ${describeError(sent.error)}`);
  else if (sent.value.state !== "completed") tally.failed.push(`a call ended as ${sent.value.state}`);
}

/** What a client of the published SDK does when a stream ends before the task: it subscribes again. */
async function streamOnce(client: DemoClient, tally: Tally): Promise<void> {
  const seen: Seen[] = [];
  await read(client.stream(`count ${NUMBERS} every 50ms`), seen);
  const taskId = seen[0]?.taskId ?? "";
  if (taskId === "") {
    tally.failed.push("a stream brought no event");
    return;
  }
  tally.streams += 1;
  if (!isOver(seen)) tally.resumed += 1;
  for (let tries = 0; !isOver(seen) && tries < 20; tries++) {
    await read(client.subscribe(taskId), seen);
    // A task that has ended meanwhile has no stream any more.
    const task = isOver(seen) ? null : await attempt(client.get(taskId));
    if (task?.ok === true && task.value.state === "completed") seen.push(task.value);
  }
  const wanted = Array.from({ length: NUMBERS }, (_, index) => `${index + 1} `).join("");
  const text = foldText(seen);
  if (text !== wanted) tally.failed.push(`task ${taskId}, ${seen.findLast((one) => one.state)?.state}: "${text}"`);
}

async function read(events: AsyncIterable<Seen>, into: Seen[]): Promise<void> {
  try {
    for await (const seen of events) into.push(seen);
  } catch {
    // Where it broke off is seen in what it brought.
  }
}

function isOver(seen: readonly Seen[]): boolean {
  return seen.some((one) => one.state === "completed" || one.state === "failed");
}
