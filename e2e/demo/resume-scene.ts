/**
 * A client that drops and comes back with Last-Event-ID, each time through another replica. The published clients do
 * not send that header, so this one is plain fetch.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { SseEvent } from "../support/sse-client.ts";
import { streamEvents } from "../support/sse-client.ts";
import type { Replica } from "../support/replica.ts";
import type { Stage } from "./stage.ts";
import { attempt, describeError } from "./client.ts";

/** The generations after which the client loses its connection. */
const FIRST_DROP = 7;
const SECOND_DROP = 14;

/** Drops twice, comes back while the task runs and once more after its end, and counts the generations. */
export async function resumeAcrossReplicas(stage: Stage): Promise<void> {
  const { timeline, flavour, fleet, clients } = stage;
  timeline.scene("A client drops and resumes with Last-Event-ID, and misses nothing");
  const [one, two, three] = fleet.replicas;
  const text = "count 20 every 60ms";
  timeline.note("client", `stream "${text}" through ${one.name}`);
  const started = await readEvents(stage, one, { body: flavour.streamBody(text), upTo: FIRST_DROP });
  const taskId = taskIdIn(started[0]);
  const subscribe = flavour.subscribeBody(taskId);
  const resumed = await readEvents(stage, two, { body: subscribe, after: started, upTo: SECOND_DROP });
  timeline.note("client", "stays away until the task has ended");
  await untilCompleted(() => clients[2].get(taskId));
  const tail = await readEvents(stage, three, { body: subscribe, after: resumed });

  const all = [...started, ...resumed, ...tail];
  const generations = all.map((event) => event.id);
  const gapFree = generations.every((id, index) => id === String(index + 1));
  timeline.expect("every generation exactly once, in order, over three connections", gapFree, () =>
    generations.join(" "),
  );
  timeline.expect("the part after the end came too, and the stream closed by itself", tail.length > 0);

  for (const replica of fleet.replicas) {
    const replayed = await attempt(readEvents(stage, replica, { body: subscribe, fromStart: true }));
    const same = replayed.ok && sameEvents(replayed.value, all);
    const found = () => (replayed.ok ? `${replayed.value.length} of ${all.length}` : describeError(replayed.error));
    timeline.expect(`${replica.name} replays the same ${all.length} events from the first one on`, same, found);
  }
}

interface Reading {
  body: string;
  /** What was read before; its last id is the cursor. */
  after?: readonly SseEvent[];
  /** Replays everything (cursor 0). */
  fromStart?: boolean;
  /** The connection is dropped after this generation; without it the stream is read to its end. */
  upTo?: number;
}

async function readEvents({ timeline, flavour }: Stage, replica: Replica, reading: Reading): Promise<SseEvent[]> {
  const cursor = reading.fromStart === true ? "0" : reading.after?.at(-1)?.id;
  const events: SseEvent[] = [];
  const call = { url: `${replica.url}${flavour.rpcPath}`, body: reading.body, headers: flavour.headers };
  for await (const event of streamEvents({ ...call, ...(cursor != null && { lastEventId: cursor }) })) {
    events.push(event);
    if (reading.upTo !== undefined && Number(event.id) >= reading.upTo) break;
  }
  const ids = events.length === 0 ? "nothing" : `generations ${events[0]?.id}–${events.at(-1)?.id}`;
  const ending = reading.upTo === undefined ? "then the end" : "then the connection is lost";
  timeline.note(replica.name, `${cursor == null ? "" : `after ${cursor}: `}${ids}, ${ending}`);
  return events;
}

/** The payload is the same text on every replica; only the envelope belongs to the call. */
function sameEvents(left: readonly SseEvent[], right: readonly SseEvent[]): boolean {
  if (left.length !== right.length) return false;
  return left.every((event, index) => event.id === right[index]?.id && event.data === right[index]?.data);
}

function taskIdIn(event: SseEvent | undefined): string {
  if (event === undefined) throw new Error("the stream brought no event");
  const { result } = JSON.parse(event.data);
  return result.task?.id ?? result.id ?? result.taskId;
}

async function untilCompleted(get: () => Promise<{ state: string | null }>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await get()).state === "completed") return;
    await delay(50);
  }
  throw new Error("the task did not complete within 10 s");
}
