/** The A2A methods of the raw agent, for both dialects; the method name tells which. */
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { logCancel, logStart } from "../agent-process.ts";
import { executeAnswer, executeNew } from "./executions.ts";
import { sliceMember } from "./raw-json.ts";
import { RawTask } from "./raw-task.ts";
import type { Script } from "./script.ts";
import { readScript } from "./script.ts";
import { SseWriter } from "./sse-writer.ts";
import type { RawDialect } from "./wording.ts";
import { Wording } from "./wording.ts";

/** One JSON-RPC call as it came in. */
export interface RpcCall {
  body: string;
  rawId: string;
  method: string;
  params: Params;
  response: ServerResponse;
}

interface Params {
  id?: string;
  historyLength?: number;
  includeArtifacts?: boolean;
  contextId?: string;
  message?: {
    messageId?: string;
    taskId?: string;
    contextId?: string;
    parts?: { text?: string }[];
  };
  configuration?: { blocking?: boolean; returnImmediately?: boolean };
}

/** How the process as a whole behaves. */
export interface RpcOptions {
  /** Refuses streams and subscriptions with this code; null = streams. */
  streamRefusal: -32004 | -32601 | null;
  /** Counts ids ("task-1", "task-2" …), so that two replicas mint the same ones. */
  countedIds: boolean;
  /** Refuses a subscription with -32001 while nothing is executing, as Go and Python do. */
  subscribeNeedsExecution: boolean;
}

type Handler = (call: RpcCall, dialect: RawDialect) => Promise<void>;

export class RawRpc {
  readonly #options: RpcOptions;
  readonly #tasks = new Map<string, RawTask>();
  #minted = 0;

  constructor(options: RpcOptions) {
    this.#options = options;
  }

  /** Answers the call, whatever it is. */
  async answer(call: RpcCall): Promise<void> {
    const entry = Object.hasOwn(this.#methods, call.method) ? this.#methods[call.method] : undefined;
    if (entry === undefined) return replyError(call, -32601, `Method not found: ${call.method}`);
    const [dialect, handler] = entry;
    await handler(call, dialect);
  }

  readonly #send: Handler = async (call, dialect) => {
    const script = readScript(textOf(call));
    if (refusesTransport(call, script)) return;
    if (isBareMessage(script)) return reply(call, this.#bareMessage(call, dialect, script));
    const task = this.#taskFor(call, dialect, script);
    if (task === null) return;
    const configuration = call.params.configuration;
    const immediate = configuration?.returnImmediately === true || configuration?.blocking === false;
    // Java gives up waiting and answers with the task as it is.
    if (!immediate && script.command !== "working") await untilRest(task);
    reply(call, task.words.taskResult(task.taskText(call.params.historyLength ?? null)));
  };

  readonly #stream: Handler = async (call, dialect) => {
    const refusal = this.#options.streamRefusal;
    if (refusal !== null) return replyError(call, refusal, "Streaming is not supported");
    const script = readScript(textOf(call));
    if (refusesTransport(call, script)) return;
    if (script.command === "error-json") return replyError(call, -32603, "refused before the stream began");
    if (isBareMessage(script)) {
      const writer = new SseWriter(call.response, script.framing);
      await writer.write(envelope(call, this.#bareMessage(call, dialect, script)));
      return writer.end();
    }
    const opened: { writer: SseWriter | null } = { writer: null };
    const task = this.#taskFor(call, dialect, script, (created) => {
      opened.writer = this.#attach(call, created);
    });
    if (task === null || opened.writer === null) return;
    await untilRest(task);
    await opened.writer.end();
  };

  readonly #subscribe: Handler = async (call) => {
    const refusal = this.#options.streamRefusal;
    if (refusal !== null) return replyError(call, refusal, "Streaming is not supported");
    const task = this.#known(call);
    if (task === null) return;
    if (task.terminal) return replyError(call, terminalCode(task.words.dialect), `Task ${task.id} is terminal`);
    if (this.#options.subscribeNeedsExecution && !task.executing) {
      return replyError(call, -32001, `Task not found: no execution of ${task.id}`);
    }
    const writer = new SseWriter(call.response, task.script.framing);
    const begun = task.script.statusFirst
      ? undefined
      : writer.write(envelope(call, task.words.taskResult(task.taskText()), task));
    // From the very moment of that Task on: what is emitted while it is written must not be missed.
    const leave = task.listen((rawResult) => writer.write(envelope(call, rawResult, task)));
    await begun;
    await untilRest(task);
    leave();
    await writer.end();
  };

  readonly #get: Handler = async (call) => {
    const task = this.#known(call);
    if (task !== null) reply(call, task.taskText(call.params.historyLength ?? null), task);
  };

  readonly #cancel: Handler = async (call) => {
    const task = this.#known(call);
    if (task === null) return;
    if (task.terminal) return replyError(call, -32002, `Task ${task.id} cannot be canceled`);
    logCancel(task.id);
    task.cancelled.abort();
    await task.execution;
    await task.emitStatus("canceled", "stopped while it waited");
    reply(call, task.taskText(), task);
  };

  readonly #list: Handler = async (call) => {
    const tasks = [...this.#tasks.values()].filter((task) => task.words.dialect === "1.0");
    const { historyLength = null, includeArtifacts = false, contextId } = call.params;
    const wanted = tasks.filter((task) => contextId === undefined || task.contextId === contextId);
    const rawTasks = wanted.map((task) => task.taskText(historyLength, includeArtifacts)).join(",");
    reply(call, `{"tasks":[${rawTasks}],"nextPageToken":"","pageSize":50,"totalSize":${wanted.length}}`);
  };

  /** An extension's method: gives the params back byte for byte. */
  readonly #echo: Handler = async (call) => reply(call, sliceMember(call.body, ["params"]) ?? "null");

  readonly #methods: Record<string, [RawDialect, Handler]> = {
    "message/send": ["0.3", this.#send],
    "message/stream": ["0.3", this.#stream],
    "tasks/get": ["0.3", this.#get],
    "tasks/cancel": ["0.3", this.#cancel],
    "tasks/resubscribe": ["0.3", this.#subscribe],
    SendMessage: ["1.0", this.#send],
    SendStreamingMessage: ["1.0", this.#stream],
    GetTask: ["1.0", this.#get],
    ListTasks: ["1.0", this.#list],
    CancelTask: ["1.0", this.#cancel],
    SubscribeToTask: ["1.0", this.#subscribe],
    "x-echo/params": ["1.0", this.#echo],
  };

  /** Opens the stream of a send and lets it break where the script says so. */
  #attach(call: RpcCall, task: RawTask): SseWriter {
    const { command, amount, framing } = task.script;
    const writer = new SseWriter(call.response, framing);
    const breaks = breakers[command];
    const leave = task.listen((rawResult) => {
      const wait = writer.write(envelope(call, rawResult, task));
      if (breaks === undefined || writer.sent < amount) return wait;
      leave();
      return Promise.resolve(wait).then(() => breaks(writer, call));
    });
    return writer;
  }

  /** The task the message continues or begins, already executing; null when an error was sent instead. */
  #taskFor(
    call: RpcCall,
    dialect: RawDialect,
    script: Script,
    beforeWork: (task: RawTask) => void = () => {},
  ): RawTask | null {
    const message = call.params.message;
    if (message?.taskId !== undefined) return this.#continue(call, message.taskId, beforeWork);
    const place = this.#mint(message?.contextId);
    const task = new RawTask(place, new Wording(dialect, script.oddities), script);
    this.#tasks.set(task.id, task);
    task.addUserMessage(sliceMember(call.body, ["params", "message"]) ?? "{}");
    noteStart(call, task);
    beforeWork(task);
    task.execute(executeNew);
    return task;
  }

  #continue(call: RpcCall, taskId: string, beforeWork: (task: RawTask) => void): RawTask | null {
    const task = this.#tasks.get(taskId);
    const refuse = (code: number, text: string) => {
      replyError(call, code, text);
      return null;
    };
    if (task === undefined) return refuse(-32001, `Task not found: ${taskId}`);
    if (task.terminal) return refuse(terminalCode(task.words.dialect), `Task ${taskId} is terminal`);
    if (task.executing) return refuse(-32603, "execution is already in progress");
    task.addUserMessage(sliceMember(call.body, ["params", "message"]) ?? "{}");
    noteStart(call, task);
    beforeWork(task);
    task.execute((continued) => executeAnswer(continued, textOf(call)));
    return task;
  }

  #known(call: RpcCall): RawTask | null {
    const id = call.params.id ?? "";
    const task = this.#tasks.get(id);
    if (task === undefined) replyError(call, -32001, `Task not found: ${id}`);
    return task ?? null;
  }

  #bareMessage(call: RpcCall, dialect: RawDialect, script: Script): string {
    const words = new Wording(dialect, script.oddities);
    const place = { contextId: call.params.message?.contextId ?? this.#mint(undefined).contextId };
    noteStart(call, { id: "", contextId: place.contextId });
    return words.messageResult(words.agentMessage(randomUUID(), "just a message", place));
  }

  #mint(contextId: string | undefined): { id: string; contextId: string } {
    if (!this.#options.countedIds) return { id: randomUUID(), contextId: contextId ?? randomUUID() };
    this.#minted++;
    return { id: `task-${this.#minted}`, contextId: contextId ?? `context-${this.#minted}` };
  }
}

/** How a stream ends early, by command. The execution goes on. */
const breakers: Record<string, (writer: SseWriter, call: RpcCall) => Promise<void>> = {
  cut: (writer) => writer.cut(),
  truncate: (writer) => writer.end(),
  "error-event": async (writer, call) => {
    await writer.write(errorText(call, -32603, "stream ordering violation"), "error");
    await writer.end();
  },
  "error-data": async (writer, call) => {
    await writer.write(errorText(call, -32603, "something went wrong"));
    await writer.end();
  },
};

const httpRefusals: Record<number, { headers: Record<string, string>; body: string }> = {
  401: { headers: { "www-authenticate": 'Bearer realm="agent"' }, body: '{"error":"unauthorized"}' },
  413: { headers: { "content-type": "text/html" }, body: "<!DOCTYPE html><pre>PayloadTooLargeError</pre>" },
  429: { headers: { "retry-after": "7" }, body: "slow down" },
  502: { headers: { "content-type": "text/html" }, body: "<html>bad gateway</html>" },
  503: { headers: { "retry-after": "3" }, body: "" },
};

/** `http 429` answers with that status and no JSON-RPC at all. */
function refusesTransport(call: RpcCall, script: Script): boolean {
  if (script.command !== "http") return false;
  const refusal = httpRefusals[script.amount] ?? { headers: {}, body: "" };
  call.response.writeHead(script.amount, refusal.headers);
  call.response.end(refusal.body);
  return true;
}

function isBareMessage(script: Script): boolean {
  return script.command === "message";
}

/** Rest = nothing executes any more, or the task waits for a credential. */
async function untilRest(task: RawTask): Promise<void> {
  await task.execution;
}

function noteStart(call: RpcCall, { id, contextId }: { id: string; contextId: string }): void {
  const messageId = call.params.message?.messageId ?? "";
  logStart({ messageId, taskId: id, contextId, text: textOf(call) });
}

function textOf(call: RpcCall): string {
  return (call.params.message?.parts ?? []).map((part) => part.text ?? "").join("");
}

function terminalCode(dialect: RawDialect): number {
  return dialect === "1.0" ? -32004 : -32602;
}

function envelope(call: RpcCall, rawResult: string, task?: RawTask): string {
  const words = task?.words ?? new Wording("1.0", readScript(textOf(call)).oddities);
  return words.envelope(call.rawId, { rawResult });
}

function reply(call: RpcCall, rawResult: string, task?: RawTask): void {
  sendJson(call, envelope(call, rawResult, task));
}

/** Sends a JSON-RPC error with HTTP 200, as the SDKs do. */
export function replyError(call: Pick<RpcCall, "rawId" | "response">, code: number, text: string): void {
  sendJson(call, errorText(call, code, text));
}

function errorText(call: Pick<RpcCall, "rawId">, code: number, text: string): string {
  return `{"jsonrpc":"2.0","id":${call.rawId},"error":{"code":${code},"message":${JSON.stringify(text)}}}`;
}

function sendJson(call: Pick<RpcCall, "response">, text: string): void {
  call.response.writeHead(200, { "content-type": "application/json" });
  call.response.end(text);
}
