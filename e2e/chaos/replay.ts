/** Reading a finished task once more, from its second event to its end. */
import { callOf, readEnvelope, withoutFinal } from "../scenarios/support/checker-wire.ts";
import type { Subject } from "../scenarios/support/subject.ts";
import { streamEvents } from "../support/sse-client.ts";

const DEADLINE_MS = 20_000;

export interface Replayed {
  subject: Subject;
  /** Base URL of the pod. */
  url: string;
  taskId: string;
  /** Every event as it is recorded. */
  payloads: readonly string[];
}

/** What a reader who had seen the first event is shown in place of all others; null where it is exactly those. */
export async function replay({ subject, url, taskId, payloads }: Replayed): Promise<string | null> {
  const { agent, dialect } = subject;
  const call = callOf({ base: url, agent, dialect }, "subscribe", { id: taskId });
  const expected = payloads.map((payload, index) => `${index + 1} ${withoutFinal(payload)}`).slice(1);
  const shown: string[] = [];
  try {
    for await (const event of streamEvents({ ...call, lastEventId: "1", signal: AbortSignal.timeout(DEADLINE_MS) })) {
      const envelope = readEnvelope(event.data);
      shown.push(`${event.id} ${envelope.kind === "result" ? withoutFinal(envelope.result) : event.data}`);
    }
  } catch (error) {
    return `after ${shown.length} of ${expected.length} events: ${String(error)}`;
  }
  const at = expected.findIndex((event, index) => event !== shown[index]);
  if (at >= 0) return `${shown[at] ?? "nothing"} in place of ${expected[at]}`;
  return shown.length > expected.length ? `${shown[expected.length]} after the end` : null;
}
