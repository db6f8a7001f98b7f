/**
 * A client that a careful person would write. It reads a stream to its end over as many connections as that takes: with
 * `Last-Event-ID` once it knows the task, with the same `messageId` before. It repeats calls that were not answered, on
 * the next pod. Everything it is shown goes to the checker.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { sliceMember } from "../../agents/raw/raw-json.ts";
import type { AgentKind } from "../../support/replica.ts";
import type { SseEvent } from "../../support/sse-client.ts";
import { NoStreamError, streamEvents } from "../../support/sse-client.ts";
import type { Checker } from "./checker.ts";
import type { Dialect, Envelope, Operation, Said } from "./checker-wire.ts";
import { callOf, isTerminalState, readEnvelope, readResult, sendParams } from "./checker-wire.ts";

export interface ClientSite {
  /** Base URLs of the pods, in the order of their numbers. */
  urls: () => readonly string[];
  agent: AgentKind;
  dialect: Dialect;
  checker: Checker;
  /** Without a word for so long the client takes a connection for dead. Default 10 s. */
  idleMs?: number;
  /** How long a client goes on in all. Default 30 s. */
  patienceMs?: number;
}

/** One event as it came. */
export interface SeenEvent {
  generation: number;
  kind: "task" | "status" | "artifact" | "message";
  state: string | null;
  /** Raw JSON text of the result. */
  result: string;
  /** `performance.now()` at its arrival. */
  atMs: number;
  /** Number of the pod that showed it. */
  pod: number;
}

/** What a stream came to. */
export interface StreamOutcome {
  messageId: string;
  taskId: string | null;
  /** State after the last event that named one. */
  state: string | null;
  events: SeenEvent[];
  connections: number;
  /** Why each connection but the last one was not enough. */
  breaks: string[];
  /** Connections whose response said that the call joined an earlier one. */
  joined: number;
  /** Set where the protocol refused. */
  refused: { code: number; message: string } | null;
}

/** What a repeated unary call came to. */
export interface CallOutcome {
  messageId: string;
  envelope: Envelope;
  status: number;
  joined: boolean;
  tries: number;
  endedAtMs: number;
}

export interface StreamOptions {
  /** The pod asked first; later ones follow round robin. Default 0. */
  pod?: number;
  messageId?: string;
  taskId?: string;
  contextId?: string;
  /** Called with each event. */
  onEvent?: (event: SeenEvent) => void;
  /** Ends the reading. */
  signal?: AbortSignal;
}

const RETRY_PAUSE_MS = 50;

export class PersistentClient {
  readonly name: string;
  readonly #site: ClientSite;

  constructor(site: ClientSite, name: string) {
    this.#site = site;
    this.name = name;
  }

  /** Sends the message as a stream and reads the turn to its end. */
  stream(text: string, options: StreamOptions = {}): Promise<StreamOutcome> {
    const said: Said = {
      text,
      messageId: options.messageId ?? randomUUID(),
      ...(options.taskId !== undefined && { taskId: options.taskId }),
      ...(options.contextId !== undefined && { contextId: options.contextId }),
    };
    return new Reading(this.#site, { name: this.name, said, taskId: options.taskId ?? null, options }).finish();
  }

  /** Subscribes and reads to the task's end, or until it asks for input. */
  follow(taskId: string, options: StreamOptions = {}): Promise<StreamOutcome> {
    return new Reading(this.#site, { name: this.name, said: null, taskId, options }).finish();
  }

  /** Sends the message and waits for the answer. */
  send(
    text: string,
    options: Omit<Said, "text" | "messageId"> & { pod?: number; messageId?: string } = {},
  ): Promise<CallOutcome> {
    const { pod = 0, messageId = randomUUID(), ...rest } = options;
    return this.#repeat("send", sendParams(this.#site.dialect, { text, messageId, ...rest }), { pod, messageId });
  }

  /** The Task as JSON text; null where it is not found. */
  async get(taskId: string, pod = 0): Promise<string | null> {
    const { envelope } = await this.#repeat("get", { id: taskId }, { pod, messageId: "" });
    return envelope.kind === "result" ? envelope.result : null;
  }

  cancel(taskId: string, pod = 0): Promise<CallOutcome> {
    return this.#repeat("cancel", { id: taskId }, { pod, messageId: "" });
  }

  /** The same call again, on the next pod, for as long as nobody answers it. */
  async #repeat(
    operation: Operation,
    params: object,
    { pod, messageId }: { pod: number; messageId: string },
  ): Promise<CallOutcome> {
    const { agent, dialect, idleMs = 10_000, patienceMs = 30_000 } = this.#site;
    const untilMs = performance.now() + patienceMs;
    for (let tries = 1; ; tries += 1) {
      const base = podUrl(this.#site, pod + tries - 1);
      const reply = await post(callOf({ base, agent, dialect }, operation, params), idleMs);
      if (reply.kind === "answer" || performance.now() > untilMs) {
        const status = reply.kind === "answer" ? reply.status : 0;
        const envelope =
          reply.kind === "answer" ? readEnvelope(reply.text) : { kind: "other" as const, text: reply.why };
        const joined = reply.kind === "answer" && reply.joined;
        return { messageId, envelope, status, joined, tries, endedAtMs: performance.now() };
      }
      await sleep(RETRY_PAUSE_MS);
    }
  }
}

interface ReadingStart {
  name: string;
  /** What is sent until the task is known; null = a subscription. */
  said: Said | null;
  taskId: string | null;
  options: StreamOptions;
}

class Reading {
  readonly #site: ClientSite;
  readonly #start: ReadingStart;
  readonly #outcome: StreamOutcome;
  #cursor: number | null = null;
  /** The turn is over: nothing follows for this reader. */
  #over = false;

  constructor(site: ClientSite, start: ReadingStart) {
    this.#site = site;
    this.#start = start;
    this.#outcome = {
      messageId: start.said?.messageId ?? "",
      taskId: start.taskId,
      state: null,
      events: [],
      connections: 0,
      breaks: [],
      joined: 0,
      refused: null,
    };
  }

  async finish(): Promise<StreamOutcome> {
    const { patienceMs = 30_000 } = this.#site;
    const { pod = 0, signal } = this.#start.options;
    const untilMs = performance.now() + patienceMs;
    const outcome = this.#outcome;
    while (!this.#over && outcome.refused === null && signal?.aborted !== true) {
      if (performance.now() > untilMs) {
        this.#violate("P4", `no end within ${patienceMs} ms, the last state is ${outcome.state}`);
        return outcome;
      }
      if (outcome.connections > 0) await sleep(RETRY_PAUSE_MS);
      outcome.connections += 1;
      await this.#connect(pod + outcome.connections - 1);
    }
    return outcome;
  }

  async #connect(pod: number): Promise<void> {
    const { idleMs = 10_000, agent, dialect } = this.#site;
    const base = podUrl(this.#site, pod);
    const idle = new AbortController();
    const timer = setTimeout(() => idle.abort(), idleMs);
    const signals = [idle.signal, ...(this.#start.options.signal ? [this.#start.options.signal] : [])];
    const call = callOf({ base, agent, dialect }, ...this.#nextCall());
    const cursor = this.#cursor;
    let first = true;
    try {
      const lastEventId = cursor === null ? {} : { lastEventId: String(cursor) };
      const onHeaders = (headers: Headers) => {
        if (headers.get("durable-agent-joined") === "true") this.#outcome.joined += 1;
      };
      for await (const event of streamEvents({
        ...call,
        ...lastEventId,
        onHeaders,
        signal: AbortSignal.any(signals),
      })) {
        timer.refresh();
        this.#take(event, {
          pod: pod % this.#site.urls().length,
          snapshot: first && this.#isSubscription && cursor === null,
        });
        first = false;
        if (this.#outcome.refused !== null) return;
      }
      // A stream that ended cleanly after rest, or after the events of a turn that are all known.
      if (this.#outcome.state !== null && atRest(this.#outcome.state)) this.#over = true;
      // What a bare Message ends, has no generation.
      if (this.#outcome.events.at(-1)?.kind === "message") this.#over = true;
      if (!this.#over) this.#outcome.breaks.push("ended");
    } catch (error) {
      this.#outcome.breaks.push(idle.signal.aborted ? `silent for ${idleMs} ms` : describe(error));
      if (error instanceof NoStreamError) this.#refuse(error);
    } finally {
      clearTimeout(timer);
    }
  }

  get #isSubscription(): boolean {
    return this.#start.said === null || this.#cursor !== null;
  }

  #nextCall(): [Operation, object] {
    const { said } = this.#start;
    const { taskId } = this.#outcome;
    if (this.#isSubscription || said === null) return ["subscribe", { id: taskId }];
    return ["stream", sendParams(this.#site.dialect, said)];
  }

  #take(event: SseEvent, at: { pod: number; snapshot: boolean }): void {
    const envelope = readEnvelope(event.data);
    if (envelope.kind === "error") {
      this.#outcome.refused = { code: envelope.code, message: envelope.message };
      return;
    }
    if (envelope.kind !== "result") {
      this.#violate("P3", `an event that is none: ${event.data}`);
      return;
    }
    const { result } = envelope;
    const told = readResult(result);
    const outcome = this.#outcome;
    if (told.taskId !== null && outcome.taskId !== null && told.taskId !== outcome.taskId) {
      this.#violate("P3", `an event of task ${told.taskId}`);
    }
    outcome.taskId ??= told.taskId;
    if (told.state !== null) outcome.state = told.state;
    const generation = event.id === null ? null : Number(event.id);
    if (generation === null) {
      if (told.kind !== "message") this.#violate("P3", `an event without a generation: ${event.data}`);
    } else this.#count(generation, { result, snapshot: at.snapshot });
    const seen = {
      generation: generation ?? 0,
      kind: told.kind,
      state: told.state,
      result,
      atMs: performance.now(),
      pod: at.pod,
    };
    outcome.events.push(seen);
    this.#start.options.onEvent?.(seen);
  }

  #count(generation: number, { result, snapshot }: { result: string; snapshot: boolean }): void {
    const { checker, dialect } = this.#site;
    const { name } = this.#start;
    const taskId = this.#outcome.taskId ?? "";
    if (this.#cursor !== null && generation !== this.#cursor + 1) {
      this.#violate("P3, I6", `generation ${generation} came after ${this.#cursor}`);
    }
    this.#cursor = generation;
    const task = (dialect === "1.0" && sliceMember(result, ["task"])) || result;
    if (snapshot) checker.shownTask({ reader: name, taskId, task, generation, notBefore: 0 });
    else checker.shown({ reader: name, taskId, generation, payload: result });
  }

  #refuse(error: NoStreamError): void {
    // Not now, or not here: the pod before the agent, the store or the whole instance is away.
    if (error.status >= 500) return;
    const envelope = readEnvelope(error.body);
    if (envelope.kind === "error") this.#outcome.refused = { code: envelope.code, message: envelope.message };
    else this.#violate("P10", `refused with ${error.status} ${error.body.slice(0, 300)}`);
  }

  #violate(promise: string, what: string): void {
    const { name, said } = this.#start;
    const { taskId } = this.#outcome;
    this.#site.checker.violate(
      promise,
      `${name} (${said?.text ?? "subscriber"}), task ${taskId}, after ${this.#cursor}: ${what}`,
    );
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

/** Nothing follows in a turn's own stream. */
function atRest(state: string): boolean {
  return isTerminalState(state) || state === "input-required";
}

function podUrl(site: ClientSite, pod: number): string {
  const urls = site.urls();
  return urls[pod % urls.length] ?? "";
}

type Posted = { kind: "answer"; status: number; text: string; joined: boolean } | { kind: "nobody"; why: string };

async function post(
  call: { url: string; headers: Record<string, string>; body: string },
  idleMs: number,
): Promise<Posted> {
  try {
    const { url, headers, body } = call;
    const response = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(idleMs) });
    const text = await response.text();
    if (response.status >= 500) return { kind: "nobody", why: `${response.status} ${text.slice(0, 300)}` };
    return {
      kind: "answer",
      status: response.status,
      text,
      joined: response.headers.get("durable-agent-joined") === "true",
    };
  } catch (error) {
    return { kind: "nobody", why: describe(error) };
  }
}

/** The text of all artifacts as a client has folded it from the events. */
export function foldedText(events: readonly SeenEvent[]): string {
  const artifacts = new Map<string, string>();
  for (const event of events) {
    const parsed = JSON.parse(event.result) as Wire;
    const body = parsed.task ?? parsed.artifactUpdate ?? parsed;
    if (event.kind === "task") {
      artifacts.clear();
      for (const artifact of body.artifacts ?? []) artifacts.set(artifact.artifactId, textOf(artifact));
    } else if (event.kind === "artifact" && body.artifact !== undefined) {
      const { artifactId } = body.artifact;
      const before = body.append === true ? (artifacts.get(artifactId) ?? "") : "";
      artifacts.set(artifactId, before + textOf(body.artifact));
    }
  }
  return [...artifacts.values()].join("");
}

/** The text of all artifacts of a Task given as JSON text. */
export function taskText(task: string): string {
  const parsed = JSON.parse(task) as Wire;
  return ((parsed.task ?? parsed).artifacts ?? []).map(textOf).join("");
}

/** The task an event names. */
export function taskIdOf(event: SeenEvent): string {
  return readResult(event.result).taskId ?? "";
}

/** The task an answer holds; "" where there is none. */
export function taskIdIn(envelope: Envelope): string {
  return envelope.kind === "result" ? (readResult(envelope.result).taskId ?? "") : "";
}

interface WireArtifact {
  artifactId: string;
  parts?: { text?: string }[];
}
interface Wire {
  task?: Wire;
  artifactUpdate?: Wire;
  artifacts?: WireArtifact[];
  artifact?: WireArtifact;
  append?: boolean;
}

function textOf(artifact: WireArtifact): string {
  return (artifact.parts ?? []).map((part) => part.text ?? "").join("");
}
