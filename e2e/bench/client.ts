/** A client that costs little next to what it measures: bare `node:http`, kept connections, events looked at once. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:http";

/** Where to call: the base URL of an agent, a hop or a sidecar. */
export type Target = string;

const connections = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

function callText(method: string, params: object): string {
  return JSON.stringify({ jsonrpc: "2.0", id: randomUUID(), method, params });
}

function sendText(method: string, text: string): string {
  // A UUID, as SDK clients mint them: such a send is looked up and kept as one that may be repeated.
  return callText(method, { message: { messageId: randomUUID(), role: "ROLE_USER", parts: [{ text }] } });
}

function post(target: Target, body: string, accept: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "a2a-version": "1.0",
      accept,
    };
    const sent = request(`${target}/rpc`, { method: "POST", headers, agent: connections }, resolve);
    sent.on("error", reject);
    sent.setNoDelay(true);
    sent.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk as string;
  return text;
}

/** A unary send, to its answer. Rejects when that is not a completed Task. */
export async function sendOnce(target: Target): Promise<void> {
  const text = await readText(await post(target, sendText("SendMessage", "hi"), "application/json"));
  if (!text.includes("TASK_STATE_COMPLETED")) throw new Error(`no completed Task but ${text.slice(0, 300)}`);
}

/** A stream that is being read. */
export interface OpenStream {
  /** The id of its task, known with the first event. Rejects when there is no stream. */
  readonly taskId: Promise<string>;
  /** How many events it brought, at its end. Rejects when it broke off. */
  readonly ended: Promise<number>;
  close(): void;
}

/** Sees each event's text as it comes. */
export type EventReader = (data: string) => void;

/** Sends a message and streams what becomes of it. */
export function streamSend(target: Target, text: string, onEvent?: EventReader): OpenStream {
  return openStream(target, sendText("SendStreamingMessage", text), onEvent);
}

/** Streams a task that somebody else has begun. */
export function streamTask(target: Target, id: string, onEvent?: EventReader): OpenStream {
  return openStream(target, callText("SubscribeToTask", { id }), onEvent);
}

function openStream(target: Target, body: string, onEvent: EventReader = () => {}): OpenStream {
  const taskId = Promise.withResolvers<string>();
  const ended = Promise.withResolvers<number>();
  // Whoever waits for one of the two hears of it.
  taskId.promise.catch(() => undefined);
  ended.promise.catch(() => undefined);
  const fail = (error: Error): void => {
    taskId.reject(error);
    ended.reject(error);
  };
  let closed = false;
  let incoming: IncomingMessage | null = null;
  const read = async (response: IncomingMessage): Promise<void> => {
    if (response.headers["content-type"]?.startsWith("text/event-stream") !== true) {
      throw new Error(`no stream but ${response.statusCode} ${(await readText(response)).slice(0, 300)}`);
    }
    incoming = response;
    if (closed) response.destroy();
    const events = new EventSplitter((data, n) => {
      if (n === 0) taskId.resolve(/"task":\{"id":"([^"]+)"/.exec(data)?.[1] ?? "");
      onEvent(data);
    });
    response.setEncoding("utf8").on("data", (text: string) => events.add(text));
    response.on("end", () => ended.resolve(events.count));
    response.on("error", fail);
  };
  post(target, body, "text/event-stream").then(read).catch(fail);
  return {
    taskId: taskId.promise,
    ended: ended.promise,
    close: () => {
      closed = true;
      incoming?.destroy();
    },
  };
}

class EventSplitter {
  count = 0;
  #rest = "";
  readonly #onEvent: (data: string, n: number) => void;

  constructor(onEvent: (data: string, n: number) => void) {
    this.#onEvent = onEvent;
  }

  add(text: string): void {
    const all = this.#rest + text;
    let start = 0;
    for (let end = all.indexOf("\n\n"); end >= 0; end = all.indexOf("\n\n", start)) {
      const data = all.slice(start, end).indexOf("data: ");
      if (data >= 0) this.#onEvent(all.slice(start + data, end), this.count++);
      start = end + 2;
    }
    this.#rest = all.slice(start);
  }
}
