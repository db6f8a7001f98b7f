/** Lets the timeline follow a stream of events without a line per chunk. */
import type { Seen } from "./client.ts";
import type { Timeline } from "./timeline.ts";

/** Chunks that share one line of the timeline. */
const CHUNKS_PER_LINE = 10;

/** Yields every event unchanged and notes it; chunks are gathered into lines. */
export async function* narrate(
  timeline: Timeline,
  who: string,
  events: AsyncIterable<Seen>,
): AsyncGenerator<Seen, void, undefined> {
  let chunks: string[] = [];
  const flush = () => {
    if (chunks.length > 0) timeline.note(who, `artifact ${chunks.join("").trim()}`);
    chunks = [];
  };
  try {
    for await (const seen of events) {
      if (seen.kind === "artifact") {
        chunks.push(seen.text);
        if (chunks.length === CHUNKS_PER_LINE) flush();
      } else {
        flush();
        timeline.note(who, describe(seen));
      }
      yield seen;
    }
  } finally {
    flush();
  }
}

/** Short enough to read, long enough to tell tasks apart. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

function describe(seen: Seen): string {
  switch (seen.kind) {
    case "task":
      return `Task ${shortId(seen.taskId)} ${seen.state}${seen.text === "" ? "" : `, so far "${seen.text.trim()}"`}`;
    case "status":
      return `status ${seen.state}${seen.said?.includes("restarted") === true ? `: "${seen.said}"` : ""}`;
    case "message":
      return `Message "${seen.text}"`;
    case "artifact":
      return `artifact ${seen.text}`;
  }
}

/** Reads to the end. */
export async function gather(events: AsyncIterable<Seen>): Promise<Seen[]> {
  const all: Seen[] = [];
  for await (const seen of events) all.push(seen);
  return all;
}

/** Reads until the condition holds for an event, and leaves the rest to be read by the next call. */
export async function readUntil(
  events: AsyncGenerator<Seen, void, undefined>,
  reached: (seen: Seen) => boolean,
): Promise<Seen> {
  for (;;) {
    const next = await events.next();
    if (next.done === true) throw new Error("the stream ended before what was expected of it");
    if (reached(next.value)) return next.value;
  }
}
