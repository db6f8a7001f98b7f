/** A client that reads a task's events over one connection after the other, and reports all it is shown. */
import type { SseEvent } from "../../support/sse-client.ts";
import { NoStreamError, streamEvents } from "../../support/sse-client.ts";
import { sliceMember } from "../../agents/raw/raw-json.ts";
import type { Checker } from "./checker.ts";
import type { Call, Dialect, Told } from "./checker-wire.ts";
import { isTerminalState, readEnvelope, readResult } from "./checker-wire.ts";

/** A reader whose stream says nothing for so long is stuck: keep-alive comments do not count. */
const STUCK_AFTER_MS = 20_000;

export interface ReaderStart {
  name: string;
  dialect: Dialect;
  checker: Checker;
  /** Null for the stream of a new message. */
  taskId: string | null;
  /** Called once, with the first event that names the task. */
  onTask?: (taskId: string) => void;
}

/** How a connection ended. `refused` = no stream but an error of the protocol. */
export type LegEnd = "left" | "ended" | { refused: number };

export class Reader {
  readonly name: string;
  taskId: string | null;
  /** Generation of the last event. */
  cursor: number | null = null;
  /** State after the last event that named one. */
  state: string | null = null;
  readonly #start: ReaderStart;

  constructor(start: ReaderStart) {
    this.#start = start;
    this.name = start.name;
    this.taskId = start.taskId;
  }

  /** Opens the call and reads `leaveAfter` events, or to the end. Resumes after the cursor where there is one. */
  async read(call: Call, leaveAfter: number | null, isSubscription: boolean): Promise<LegEnd> {
    const resumed = this.cursor;
    const stuck = new AbortController();
    const timer = setTimeout(() => stuck.abort(), STUCK_AFTER_MS);
    let events = 0;
    try {
      const lastEventId = resumed === null ? {} : { lastEventId: String(resumed) };
      for await (const event of streamEvents({ ...call, ...lastEventId, signal: stuck.signal })) {
        timer.refresh();
        events += 1;
        // JS 0.3 refuses inside the stream, with the error as its only event; so does whoever speaks its dialect.
        const envelope = event.name === "error" && events === 1 ? readEnvelope(event.data) : null;
        if (envelope?.kind === "error") return { refused: envelope.code };
        this.#take(event, isSubscription && resumed === null && events === 1);
        if (events === leaveAfter) return "left";
      }
      return "ended";
    } catch (error) {
      if (error instanceof NoStreamError) return this.#refused(error);
      this.#violate(
        "P3",
        stuck.signal.aborted ? `nothing for ${STUCK_AFTER_MS} ms` : `the stream broke: ${describe(error)}`,
      );
      return "ended";
    } finally {
      clearTimeout(timer);
    }
  }

  get finished(): boolean {
    return isTerminalState(this.state);
  }

  #take(event: SseEvent, isSnapshot: boolean): void {
    const envelope = readEnvelope(event.data);
    if (envelope.kind !== "result" || event.name !== "message") {
      this.#violate("P3", `an event that is none: ${event.name} ${event.data}`);
      return;
    }
    const told = readResult(envelope.result);
    if (event.id === null || !/^[1-9]\d*$/.test(event.id)) {
      if (told.kind !== "message") this.#violate("P3", `an event without a generation: ${event.data}`);
      return;
    }
    this.#learn(told);
    const generation = Number(event.id);
    const { taskId, cursor } = this;
    if (taskId === null) {
      this.#violate("P3", `generation ${generation} names no task: ${envelope.result}`);
      return;
    }
    if (cursor !== null && generation !== cursor + 1) {
      this.#violate("P3, I6", `generation ${generation} came after ${cursor}`);
    }
    this.cursor = generation;
    const { checker, dialect } = this.#start;
    if (!isSnapshot) {
      checker.shown({ reader: this.name, taskId, generation, payload: envelope.result });
      return;
    }
    if (told.kind !== "task") this.#violate("P3", `a subscription began with ${envelope.result}`);
    const task = (dialect === "1.0" && sliceMember(envelope.result, ["task"])) || envelope.result;
    checker.shownTask({ reader: this.name, taskId, task, generation, notBefore: 0 });
  }

  #learn(told: Told): void {
    if (told.state !== null) this.state = told.state;
    if (told.taskId === null) return;
    if (this.taskId === null) {
      this.taskId = told.taskId;
      this.#start.onTask?.(told.taskId);
    } else if (this.taskId !== told.taskId) {
      this.#violate("P3", `an event of task ${told.taskId}`);
    }
  }

  #refused(error: NoStreamError): LegEnd {
    const envelope = readEnvelope(error.body);
    if (envelope.kind !== "error" || error.status !== 200) {
      this.#violate("P10", `refused with ${error.status} ${error.body.slice(0, 300)}`);
      return { refused: 0 };
    }
    return { refused: envelope.code };
  }

  #violate(promise: string, what: string): void {
    this.#start.checker.violate(promise, `${this.name}, task ${this.taskId}, after ${this.cursor}: ${what}`);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}
