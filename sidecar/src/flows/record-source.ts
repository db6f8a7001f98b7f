/**
 * Feeds one upstream event source of the agent into a task's recorder (I4: one source at a time), and says how the
 * source ended. The agent's run never depends on the source: closing it cancels nothing.
 */
import { idMap, toPublic } from "../domain/id-map.ts";
import { isAtRest } from "../domain/task-state.ts";
import type { AgentEvent, AgentEvents } from "../ports/agent.ts";
import { type A2aEvent, parseEvent } from "../protocol/events.ts";
import { parseReply } from "../protocol/jsonrpc.ts";
import { oneLine } from "../protocol/raw-json.ts";
import { checkPayload } from "./check-payload.ts";
import type { FlowContext } from "./flow-context.ts";
import type { TaskRecorder } from "./task-recorder.ts";

export interface EventSource {
  events: AgentEvents;
  iterator: AsyncIterator<AgentEvent>;
  /** An event that was read already. */
  first: AgentEvent | null;
  /**
   * `turn`: the reply stream of the turn's own send. `subscription`: opened after the run began, its first Task enters
   * by the difference rule. `beforehand`: a subscription opened before the send, whose first Task is known already.
   */
  kind: "turn" | "subscription" | "beforehand";
}

export type SourceEnd =
  /** An event that puts the task at rest is recorded and ended the turn. */
  | { kind: "rest" }
  | { kind: "clean" }
  | { kind: "broken" }
  /** The stream carried a JSON-RPC error; the run may go on all the same. */
  | { kind: "error"; code: number; error: string }
  /** A bare Message came; only where the options ask to stop there. */
  | { kind: "message"; event: Extract<A2aEvent, { kind: "message" }> }
  /** The recorder was fenced, or records another turn by now. */
  | { kind: "lost" };

export interface SourceOptions {
  /** Called each time nothing has come for `quietMs`, or {@link QUIET_MS}; says whether to go on reading. */
  onQuiet?: () => Promise<"read-on" | "stop">;
  quietMs?: number;
  /**
   * Called before the event that would put the task at rest, where a subscription began without the Task (Python 0.3):
   * what happened before it was opened is missing from the record then.
   */
  beforeRest?: () => Promise<void>;
  /** Ends at a bare Message instead of recording it. */
  stopsAtMessage?: boolean;
}

/** Without an event for this long a subscription no longer holds back queued messages of the task. */
export const QUIET_MS = 30_000;
/** How long a source is read on after rest, so that the agent's SDK can close it in its own way. */
const LINGER_MS = 2_000;

/** Records until the source ends, the task comes to rest or the recorder is lost. */
export async function recordSource(
  context: FlowContext,
  recorder: TaskRecorder,
  source: EventSource,
  options: SourceOptions = {},
): Promise<SourceEnd> {
  // Closing the source ends the pending read.
  const unlisten = recorder.onDisplaced(() => source.events.close());
  const { turn } = recorder;
  const isDisplaced = () => recorder.lost || recorder.turn !== turn;
  let beforehand = source.kind === "beforehand";
  let complete: boolean | null = source.kind === "subscription" ? null : true;
  try {
    for (let event = source.first ?? (await nextEvent(context, source, options)); ; ) {
      if (isDisplaced()) return { kind: "lost" };
      if (event === "stop") return recorder.resting ? { kind: "rest" } : { kind: "clean" };
      if (event === null) return { kind: source.events.end === "clean" ? "clean" : "broken" };
      const reply = parseReply(event.data);
      if (reply.kind === "error") return { kind: "error", code: reply.code, error: reply.error };
      if (reply.kind === "result") {
        const parsed = parseEvent(recorder.dialect, oneLine(reply.result));
        const known = beforehand && parsed.kind === "task";
        beforehand = false;
        complete ??= parsed.kind === "task";
        if (!complete && parsed.kind === "status" && isAtRest(parsed.state)) await options.beforeRest?.();
        if (isDisplaced()) return { kind: "lost" };
        if (parsed.kind === "message" && options.stopsAtMessage) return { kind: "message", event: parsed };
        if (!known) recordEvent(context, recorder, parsed, source.kind);
        if (recorder.resting) return { kind: "rest" };
        await recorder.room();
      }
      event = await nextEvent(context, source, options);
    }
  } finally {
    unlisten();
    void linger(context, source);
  }
}

/** Records one parsed event of the agent in public form; the first rest ends the turn. */
export function recordEvent(
  context: FlowContext,
  recorder: TaskRecorder,
  event: A2aEvent,
  sourceKind: EventSource["kind"],
): void {
  const problem = checkPayload(event.payload, context.settings.maxEventChars);
  if (problem) {
    recorder.recordStatus("failed", `an event of the agent cannot be recorded: ${problem}`);
    return;
  }
  const fresh = recorder.agentTaskId === "";
  if (fresh && event.kind !== "message" && event.kind !== "other") recorder.adoptAgent(event.taskId, event.contextId);
  if (event.kind === "task") {
    recorder.recordDifference(event.task, fresh ? { fresh: true } : {});
  } else if ((event.kind === "status" || event.kind === "artifact") && event.taskId !== recorder.agentTaskId) {
    recordStray(context, recorder, event, sourceKind);
  } else {
    recorder.record([{ kind: event.kind, payload: recorder.publicForm(event.kind, event.payload), hidden: null }]);
  }
}

/**
 * An event that names another task. JS 0.3 makes up a task id when an executor throws: on a turn's own stream a final
 * event of an unknown id is this turn's end. Anything else does not belong here.
 */
function recordStray(
  context: FlowContext,
  recorder: TaskRecorder,
  event: Extract<A2aEvent, { kind: "status" | "artifact" }>,
  sourceKind: EventSource["kind"],
): void {
  if (sourceKind !== "turn" || event.kind !== "status" || !(event.final || isAtRest(event.state))) {
    context.log.warn({ taskId: recorder.taskId, kind: event.kind }, "event of another task on this stream dropped");
    return;
  }
  const { taskId, contextId } = recorder;
  const map = idMap({ agentTaskId: event.taskId, taskId, agentContextId: event.contextId, contextId });
  recorder.record([{ kind: "status", payload: toPublic(recorder.dialect, event.payload, map), hidden: null }]);
}

/** The next event, null at the end. Calls `onQuiet` for every quiet period on the way. */
async function nextEvent(
  context: FlowContext,
  source: EventSource,
  options: SourceOptions,
): Promise<AgentEvent | null | "stop"> {
  const next = source.iterator.next().then((result) => (result.done ? null : result.value));
  if (!options.onQuiet) return next;
  for (;;) {
    const timer = new AbortController();
    const quiet = context.clock.sleep(options.quietMs ?? QUIET_MS, timer.signal).then(() => "quiet" as const);
    const event = await Promise.race([next, quiet]);
    timer.abort();
    if (event !== "quiet") return event;
    if ((await options.onQuiet()) === "stop") return "stop";
  }
}

async function linger(context: FlowContext, source: EventSource): Promise<void> {
  const timer = new AbortController();
  const drained = (async () => {
    while (!(await source.iterator.next()).done);
  })().catch(() => {});
  await Promise.race([drained, context.clock.sleep(LINGER_MS, timer.signal)]);
  timer.abort();
  source.events.close();
}
