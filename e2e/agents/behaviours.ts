/**
 * What a fixture agent does, decided by the text of the user's message, so that one process serves every test.
 *
 * The behaviours are the executor styles found in the wild: the usual one (Task, working, artifacts, completed), and
 * those the SDKs treat differently (Task → Task, Task → Message, status first, bare Message, throwing, returning
 * without a terminal state). They speak to the SDK only through {@link Emitter}, so both SDK versions share them.
 */
import { setTimeout as delay } from "node:timers/promises";

/** Task states in the spelling of A2A 0.3. */
export type AgentTaskState =
  | "submitted"
  | "working"
  | "completed"
  | "failed"
  | "canceled"
  | "rejected"
  | "input-required"
  | "auth-required";

/** Either text or a JSON object. */
export type Content = { text: string } | { data: Record<string, unknown> };

export interface ArtifactChunk {
  id: string;
  content: Content;
  name?: string;
  append?: boolean;
  lastChunk?: boolean;
  metadata?: Record<string, unknown>;
}

/** The event bus of one execution, without the SDK version in it. */
export interface Emitter {
  task(state: AgentTaskState, artifacts?: ArtifactChunk[]): void;
  status(state: AgentTaskState, text?: string, metadata?: Record<string, unknown>): void;
  artifact(chunk: ArtifactChunk): void;
  /** A Message event; `withTask` puts the task's id into it. */
  message(text: string, withTask?: boolean): void;
}

export interface Execution {
  text: string;
  messageId: string;
  taskId: string;
  contextId: string;
  /** Whether the message continues a task this agent knows. */
  continues: boolean;
  /** Aborts when the agent's cancel call names this task. */
  cancelled: AbortSignal;
  emit: Emitter;
}

type Behaviour = (execution: Execution, args: string[]) => Promise<void> | void;

/** How many answers a task still waits for; process memory on purpose, it is what another pod does not have. */
const openQuestions = new Map<string, number>();

/** Runs what the message asks for; unknown text is echoed. Rejects where the behaviour is to throw. */
export async function behave(execution: Execution): Promise<void> {
  const [word = "", ...args] = execution.text.trim().split(/\s+/);
  if (execution.continues && openQuestions.has(execution.taskId)) return takeAnswer(execution);
  const behaviour = Object.hasOwn(behaviours, word) ? behaviours[word] : undefined;
  await (behaviour ?? echo)(execution, args);
}

const behaviours: Record<string, Behaviour> = {
  /** `count 10 every 20ms`: one artifact in N appended chunks. */
  count: async (execution, args) => {
    const total = numberAt(args, 0, 10);
    const pauseMs = millisecondsIn(args, 20);
    begin(execution);
    for (let n = 1; n <= total; n++) {
      if (!(await pause(execution, pauseMs))) return endCanceled(execution);
      const lastChunk = n === total;
      execution.emit.artifact({ id: "numbers", name: "numbers", content: { text: `${n} ` }, append: n > 1, lastChunk });
    }
    execution.emit.status("completed", `counted to ${total}`);
  },
  /** `slow 500`: no event between working and the result. */
  slow: async (execution, args) => {
    begin(execution);
    if (!(await pause(execution, numberAt(args, 0, 500)))) return endCanceled(execution);
    endWith(execution, "slow but sure");
  },
  /** `silent 500`: not even a Task before the result. */
  silent: async (execution, args) => {
    if (!(await pause(execution, numberAt(args, 0, 500)))) {
      execution.emit.task("canceled");
      return;
    }
    execution.emit.task("completed", [{ id: "result", content: { text: "out of the silence" } }]);
  },
  /** `ask 2`: asks that many times, then completes with the last answer. */
  ask: (execution, args) => {
    begin(execution);
    openQuestions.set(execution.taskId, numberAt(args, 0, 1));
    execution.emit.status("input-required", "Which colour?");
  },
  /** `auth 300`: waits for a credential out of band and goes on by itself. */
  auth: async (execution, args) => {
    begin(execution);
    execution.emit.status("auth-required", "waiting for a credential");
    if (!(await pause(execution, numberAt(args, 0, 300)))) return endCanceled(execution);
    execution.emit.status("working", "credential arrived");
    endWith(execution, "authorised");
  },
  message: ({ emit }) => emit.message("just a message"),
  "message-with-task": ({ emit }) => {
    emit.task("completed", [{ id: "result", content: { text: "made before the message" } }]);
    emit.message("see the task", true);
  },
  "task-then-task": async (execution) => {
    execution.emit.task("working");
    if (!(await pause(execution, 30))) return endCanceled(execution);
    execution.emit.task("completed", [{ id: "result", content: { text: "in one piece" } }]);
  },
  "task-then-message": async (execution) => {
    execution.emit.task("working");
    if (!(await pause(execution, 30))) return endCanceled(execution);
    execution.emit.message("the work goes on elsewhere", true);
  },
  "status-first": async (execution) => {
    execution.emit.status("working");
    if (!(await pause(execution, 30))) return endCanceled(execution);
    endWith(execution, "no task event at all");
  },
  "throw-before": () => {
    throw new Error("thrown before any event");
  },
  "throw-after": async (execution) => {
    begin(execution);
    await pause(execution, 30);
    throw new Error("thrown in the middle of the work");
  },
  /** Returns without a terminal state: the task stays at working. */
  settle: async (execution) => {
    begin(execution);
    await pause(execution, 30);
  },
  fail: (execution) => {
    begin(execution);
    execution.emit.status("failed", "it did not work out");
  },
  reject: (execution) => {
    begin(execution);
    execution.emit.status("rejected", "not a thing this agent does");
  },
  /** Works until it is cancelled. */
  "wait-cancel": async (execution) => {
    begin(execution);
    await pause(execution, 600_000);
    endCanceled(execution);
  },
  /** `uncancelable 300`: a cancel reaches it and changes nothing. */
  uncancelable: async (execution, args) => {
    begin(execution);
    await delay(numberAt(args, 0, 300));
    endWith(execution, "cancelled by nobody");
  },
  /** Everything the fold has to get right: messages in the status, replaced and added artifacts, metadata. */
  varied: async (execution) => {
    const { emit } = execution;
    begin(execution);
    emit.status("working", "reading", { step: 1, at: { page: 1 } });
    emit.artifact({ id: "draft", name: "draft", content: { text: "first " } });
    emit.artifact({ id: "draft", content: { text: "and second" }, append: true, metadata: { revision: 1 } });
    emit.artifact({ id: "table", content: { data: { rows: [1, 2, 3], nested: { deep: true } } }, lastChunk: true });
    emit.status("working", "writing", { step: 2 });
    emit.artifact({ id: "draft", name: "final", content: { text: "replaced" }, append: false, lastChunk: true });
    emit.artifact({ id: "late", content: { text: "appended to nothing" }, append: true });
    await pause(execution, 20);
    emit.status("completed", "done", { step: 3 });
  },
  /** `large 300`: one artifact of that many kilobytes in one event. */
  large: (execution, args) => {
    begin(execution);
    execution.emit.artifact({ id: "large", content: { text: "x".repeat(numberAt(args, 0, 300) * 1024) } });
    execution.emit.status("completed");
  },
  /** `crash 50`: the process dies that many milliseconds into the work. */
  crash: async (execution, args) => {
    begin(execution);
    await delay(numberAt(args, 0, 50));
    process.exit(70);
  },
};

function echo(execution: Execution): void {
  begin(execution);
  endWith(execution, `echo: ${execution.text}`);
}

/** An answer that says `after 300ms` is thought about for so long. */
async function takeAnswer(execution: Execution): Promise<void> {
  const left = (openQuestions.get(execution.taskId) ?? 1) - 1;
  execution.emit.status("working", `got ${execution.text}`);
  const thinkMs = Number(/\bafter (\d+)ms/.exec(execution.text)?.[1] ?? 0);
  if (thinkMs > 0 && !(await pause(execution, thinkMs))) return endCanceled(execution);
  if (left > 0) {
    openQuestions.set(execution.taskId, left);
    execution.emit.status("input-required", `Which colour next? ${left} to go`);
    return;
  }
  openQuestions.delete(execution.taskId);
  execution.emit.artifact({ id: "answer", name: "answer", content: { text: `You said ${execution.text}` } });
  execution.emit.status("completed");
}

/** The usual opening. A follow-up begins with its status: the Task exists already. */
function begin(execution: Execution): void {
  if (!execution.continues) execution.emit.task("submitted");
  execution.emit.status("working");
}

function endWith(execution: Execution, text: string): void {
  execution.emit.artifact({ id: "result", name: "result", content: { text }, lastChunk: true });
  execution.emit.status("completed");
}

function endCanceled(execution: Execution): void {
  execution.emit.status("canceled", "stopped on request");
}

/** False when the execution was cancelled meanwhile. */
async function pause(execution: Execution, ms: number): Promise<boolean> {
  if (execution.cancelled.aborted) return false;
  return delay(ms, true, { signal: execution.cancelled }).catch(() => false);
}

function numberAt(args: string[], index: number, fallback: number): number {
  const value = Number.parseInt(args[index] ?? "", 10);
  return Number.isFinite(value) ? value : fallback;
}

/** The value of `every 20ms`. */
function millisecondsIn(args: string[], fallback: number): number {
  const at = args.indexOf("every");
  return at < 0 ? fallback : numberAt(args, at + 1, fallback);
}
