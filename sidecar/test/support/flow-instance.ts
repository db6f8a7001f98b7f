/** The flows of one instance on a record in memory: everything but HTTP, Postgres and NATS. */
import { randomUUID } from "node:crypto";
import { systemClock } from "../../src/adapters/clock/system-clock.ts";
import { MemoryRelay, MemoryRelayHub } from "../../src/adapters/memory/relay.ts";
import { MemoryTaskStore } from "../../src/adapters/memory/task-store.ts";
import { AgentPresence } from "../../src/flows/agent-presence.ts";
import { AgentProfile } from "../../src/flows/agent-profile.ts";
import type { Answer, SseEvent } from "../../src/flows/answer.ts";
import { answerCalls } from "../../src/flows/answer-calls.ts";
import { Drain } from "../../src/flows/drain.ts";
import type { FlowContext } from "../../src/flows/flow-context.ts";
import { GroupCommit } from "../../src/flows/group-commit.ts";
import { RecorderRegistry } from "../../src/flows/recorder-registry.ts";
import { WorkTaker } from "../../src/flows/take-work.ts";
import { TaskFeeds } from "../../src/flows/task-feeds.ts";
import { TurnBoard } from "../../src/flows/turn-board.ts";
import { UnboundRuns } from "../../src/flows/unbound-runs.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { TaskRow, TurnRow } from "../../src/ports/task-store.ts";
import type { ScriptedAgent } from "./scripted-agent.ts";

const LEASE_MS = 60_000_000;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const uncounted = {
  call: () => {},
  eventsRecorded: () => {},
  turnEnded: () => {},
  idsMapped: () => {},
  gapFilled: () => {},
};

/** A clock on which everything takes a fraction of its time. */
export function fastClock(factor: number): Clock {
  return {
    monotonicMs: () => systemClock.monotonicMs() * factor,
    now: () => systemClock.now(),
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  };
}

/** What the instances of one agent share. */
export class FlowCluster {
  readonly clock: Clock;
  readonly store: ReadableStore;
  readonly hub = new MemoryRelayHub();

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
    this.store = new ReadableStore({ clock, idempotencyWindowSeconds: 3600 });
  }
}

/** The record in memory, with its rows in sight. */
class ReadableStore extends MemoryTaskStore {
  get turns(): TurnRow[] {
    return [...this.record.turns.values()].map((turn) => this.record.turnRow(turn));
  }

  get tasks(): TaskRow[] {
    return [...this.record.tasks.values()].map((task) => this.record.taskRow(task));
  }

  /** A crash of the server takes the rows of turns of which nothing was flushed yet. */
  crash(): void {
    for (const turn of this.record.turns.values()) if (turn.taskId === null) this.record.turns.delete(turn.id);
  }

  /** Turns that have given up the queue. */
  get released(): string[] {
    return [...this.record.turns.values()].flatMap((turn) => (turn.released ? [turn.id] : []));
  }
}

export interface FlowInstance {
  context: FlowContext;
  taker: WorkTaker;
  drain: Drain;
  /** Makes a call of 1.0 as a client does. */
  call(
    method: string,
    params: unknown,
    options?: { signal?: AbortSignal; headers?: Record<string, string> },
  ): Promise<Answer>;
  stop(): Promise<void>;
}

/** Starts an instance that holds its lease for good. `replace` puts something else in the place of a part. */
export async function startInstance(
  cluster: FlowCluster,
  agent: ScriptedAgent,
  replace: Partial<FlowContext> & { id?: string; graceMs?: number } = {},
): Promise<FlowInstance> {
  const { clock, hub } = cluster;
  const { id: instanceId = randomUUID(), graceMs = 0, ...replaced } = replace;
  const store = replaced.store ?? cluster.store;
  await cluster.store.registerInstance({ id: instanceId, podName: "", podUid: instanceId }, LEASE_MS);
  const relay = new MemoryRelay(hub);
  const taker = new WorkTaker();
  const drain = new Drain({ graceMs, busy: () => taker.busy, setDraining: () => {} });
  const context: FlowContext = {
    settings: {
      instanceId,
      leaseMs: LEASE_MS,
      affinity: "Context",
      recoveryPolicy: "Redispatch",
      maxAttempts: 3,
      idempotencyWindowSeconds: 3600,
      maxEventChars: 1_000_000,
    },
    podUid: instanceId,
    store,
    recovery: cluster.store,
    commits: new GroupCommit(store, clock),
    relay,
    feeds: new TaskFeeds(relay, { clock, log: silent }),
    board: new TurnBoard({ store, relay, clock, log: silent }),
    recorders: new RecorderRegistry(),
    unbound: new UnboundRuns(),
    agent,
    profile: new AgentProfile(agent, clock),
    presence: new AgentPresence(),
    lifetime: drain,
    clock,
    random: () => 0.5,
    seal: { seal: (plain) => Buffer.from(plain), open: (sealed) => Buffer.from(sealed).toString() },
    log: silent,
    metrics: uncounted,
    newId: randomUUID,
    heardOf: () => false,
    startTurn: (turnId) => taker.startTurn(turnId),
    runDispatched: (turn, journaled) => taker.runDispatched(turn, journaled),
    startCancel: (taskId) => taker.startCancel(taskId),
    recoverTask: (claimed) => taker.recoverTask(claimed),
    ...replaced,
  };
  taker.start(context);
  const handle = answerCalls(context, { agentUrl: "http://agent/", publicUrl: null, originOf: () => "http://public" });
  return {
    context,
    taker,
    drain,
    call: async (method, params, options = {}) => {
      const text = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
      const request = { method: "POST", path: "/", headers: options.headers ?? {} };
      const answer = await handle({ text, request, signal: options.signal ?? new AbortController().signal });
      if (answer === "pass-through") throw new Error(`${method} was passed through`);
      return answer;
    },
    stop: async () => {
      taker.stop();
      drain.exit();
      context.feeds.close();
      await context.board.stop();
      await relay.close();
    },
  };
}

/** The body of a JSON answer. */
export function bodyOf(answer: Answer): { result?: Record<string, never>; error?: { code: number } } {
  if (answer.kind !== "json") throw new Error("the answer is a stream");
  return JSON.parse(Buffer.from(answer.body).toString()) as ReturnType<typeof bodyOf>;
}

/** The events of a streaming answer, to its end. */
export async function eventsOf(answer: Answer): Promise<{ id?: string; data: unknown }[]> {
  if (answer.kind !== "events") throw new Error("the answer is no stream");
  const events: { id?: string; data: unknown }[] = [];
  for await (const event of answer.events as AsyncIterable<SseEvent>) {
    if ("comment" in event) continue;
    events.push({ ...(event.id === undefined ? {} : { id: event.id }), data: JSON.parse(event.data) });
  }
  return events;
}

/** Params of a send of 1.0. */
export function sendOf(message: { messageId?: string; taskId?: string; contextId?: string } = {}, configuration = {}) {
  return {
    message: { messageId: randomUUID(), role: "ROLE_USER", parts: [{ text: "hi" }], ...message },
    configuration,
  };
}
