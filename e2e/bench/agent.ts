/**
 * The agent under the measurements: bare `node:http`, the 1.0 dialect, no SDK, as little work as possible.
 *
 * A unary send is answered at once with a completed Task. A streamed one obeys the text of the message: `blast N` emits N
 * artifact chunks as fast as they are taken, `blast N every Mms` one at a time, each marked `@<time>@` with the machine's
 * monotonic clock in microseconds at which it was written; `hold` begins a task and never ends it. It knows no task when
 * asked: an attempt that broke off is run again.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { announceReady, listeningPort } from "../agents/agent-process.ts";
import { monotonicMicroseconds } from "./moment.ts";

interface Call {
  id: unknown;
  method: string;
  params: { message?: { contextId?: string; parts?: { text?: string }[] } };
}

interface Work {
  taskId: string;
  contextId: string;
}

function envelope(call: Call, member: "result" | "error", value: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(call.id)},"${member}":${value}}`;
}

function taskText({ taskId, contextId }: Work, state: string): string {
  return `{"task":{"id":"${taskId}","contextId":"${contextId}","status":{"state":"TASK_STATE_${state}"}}}`;
}

function chunkText({ taskId, contextId }: Work, n: number): string {
  return `{"artifactUpdate":{"taskId":"${taskId}","contextId":"${contextId}","artifact":{"artifactId":"a","parts":[{"text":"@${monotonicMicroseconds()}@ the quick brown fox jumps over the lazy dog"}]},"append":${n > 0}}}`;
}

function endText({ taskId, contextId }: Work): string {
  return `{"statusUpdate":{"taskId":"${taskId}","contextId":"${contextId}","status":{"state":"TASK_STATE_COMPLETED"}}}`;
}

async function stream(call: Call, work: Work, response: ServerResponse): Promise<void> {
  const text = call.params.message?.parts?.[0]?.text ?? "";
  const [, count, pause] = /^blast (\d+)(?: every (\d+)ms)?/.exec(text) ?? [];
  const left = once(response, "close");
  const emit = async (result: string): Promise<void> => {
    if (response.write(`data: ${envelope(call, "result", result)}\n\n`)) return;
    await Promise.race([once(response, "drain"), left]);
  };
  response.writeHead(200, { "content-type": "text/event-stream" });
  await emit(taskText(work, "WORKING"));
  if (count === undefined) {
    await left;
    return;
  }
  for (let n = 0; n < Number(count) && !response.destroyed; n += 1) {
    await emit(chunkText(work, n));
    if (pause !== undefined) await delay(Number(pause));
  }
  await emit(endText(work));
  response.end();
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  if (request.method !== "POST") {
    response.writeHead(404).end();
    return;
  }
  const call = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Call;
  const work = { taskId: randomUUID(), contextId: call.params.message?.contextId ?? randomUUID() };
  if (call.method === "SendStreamingMessage") return stream(call, work, response);
  const text =
    call.method === "SendMessage"
      ? envelope(call, "result", taskText(work, "COMPLETED"))
      : envelope(call, "error", '{"code":-32001,"message":"Task not found"}');
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    console.error(error);
    response.destroy();
  });
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => announceReady("bench", listeningPort(server)));
