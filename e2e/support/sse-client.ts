/** Streams A2A calls with plain fetch, for what no published client does: reading `id:` lines and sending Last-Event-ID. */

/** One event of a stream. */
export interface SseEvent {
  /** The `id:` line, null when there was none. */
  id: string | null;
  /** The `event:` line, "message" when there was none. */
  name: string;
  data: string;
}

export interface StreamCall {
  url: string;
  /** JSON text of the request body. */
  body: string;
  headers?: Record<string, string>;
  lastEventId?: string;
  signal?: AbortSignal;
  /** Called with the headers of the stream before its first event. */
  onHeaders?: (headers: Headers) => void;
}

/** A stream was asked for and something else came back. */
export class NoStreamError extends Error {
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super(`no event stream but ${status} ${body.slice(0, 500)}`);
    this.name = "NoStreamError";
    this.status = status;
    this.body = body;
  }
}

/** Posts the call and yields its events; ends with the stream. Leaving the loop closes the connection. */
export async function* streamEvents(call: StreamCall): AsyncGenerator<SseEvent, void, undefined> {
  const leave = new AbortController();
  const signal = call.signal === undefined ? leave.signal : AbortSignal.any([leave.signal, call.signal]);
  const response = await fetch(call.url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "text/event-stream",
      ...call.headers,
      ...(call.lastEventId !== undefined && { "last-event-id": call.lastEventId }),
    },
    body: call.body,
    signal,
  });
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  if (!isStream || response.body === null) throw new NoStreamError(response.status, await response.text());
  call.onHeaders?.(response.headers);
  try {
    let rest = "";
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      // A line ends with LF, CR or CRLF; the LF of a CR at the very end may be yet to come.
      const blocks = (rest + text).replace(/\r\n|\r(?!$)/g, "\n").split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) yield* eventIn(block);
    }
    if (rest.endsWith("\n\r")) yield* eventIn(rest);
  } finally {
    leave.abort();
  }
}

/** Nothing for a block of comments. */
function* eventIn(block: string): Generator<SseEvent, void, undefined> {
  const lines = block.split("\n");
  const field = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).replace(/^ /, ""));
  const data = field("data");
  if (data.length === 0) return;
  yield { id: field("id").at(-1) ?? null, name: field("event").at(-1) ?? "message", data: data.join("\n") };
}
