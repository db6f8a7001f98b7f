import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { CallOutcome } from "../flows/flow-context.ts";
import type { TaskState } from "../domain/task-state.ts";
import { operationOf } from "../protocol/methods.ts";

export interface MetricsSources {
  /** Subscribers open at this moment. */
  subscribers?: () => number;
  /** Whether the relay reaches the other instances at this moment. */
  relayConnected?: () => boolean;
  /** Asked at most every `countsMaxAgeMs` (default 15 s) when scraped; a failure leaves the last values. */
  countTasks?: () => Promise<{ state: TaskState; count: number }[]>;
  countsMaxAgeMs?: number;
  monotonicMs: () => number;
}

export interface Metrics {
  /** `method` is a JSON-RPC method; unknown ones are counted as "other" (I9). */
  call(method: string | null, outcome: CallOutcome, seconds: number): void;
  eventsRecorded(count: number): void;
  turnEnded(outcome: "done" | "failed" | "fenced"): void;
  idsMapped(): void;
  /** One commit of the group commit, with the writes it carried. */
  commit(seconds: number, writes: number): void;
  gapFilled(): void;
  /** Rows that left after their retention (P12). */
  swept(kind: "tasks" | "turns" | "instances", count: number): void;
  /** GRPC interfaces of the card: they bypass the record. */
  grpcInterfaces(count: number): void;
  cardSignaturesDropped(): void;
  /** Prometheus text format. */
  render(): Promise<{ contentType: string; body: string }>;
}

const PREFIX = "durable_agent_";
const CALL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const COMMIT_SECONDS = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 5];
const COMMIT_WRITES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];

/** All metrics of one sidecar, in a registry of its own; includes Node's memory, event loop and garbage collection. */
export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []): Counter<L> =>
    new Counter({ name: PREFIX + name, help, labelNames, registers: [registry] });
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []): Gauge<L> =>
    new Gauge({ name: PREFIX + name, help, labelNames, registers: [registry] });

  const calls = new Histogram({
    name: `${PREFIX}call_duration_seconds`,
    help: "JSON-RPC calls by method and outcome; streams until they end.",
    labelNames: ["method", "outcome"],
    buckets: CALL_SECONDS,
    registers: [registry],
  });
  const commitSeconds = new Histogram({
    name: `${PREFIX}commit_duration_seconds`,
    help: "Time of one commit of task events.",
    buckets: COMMIT_SECONDS,
    registers: [registry],
  });
  const commitWrites = new Histogram({
    name: `${PREFIX}commit_writes`,
    help: "Task writes that shared one commit.",
    buckets: COMMIT_WRITES,
    registers: [registry],
  });
  const events = counter("events_recorded_total", "Task events committed.");
  const turns = counter("turns_ended_total", "Turns ended here, by outcome.", ["outcome"]);
  const mapped = counter("ids_mapped_total", "Tasks whose public id differs from the agent's.");
  const swept = counter("swept_total", "Rows deleted after their retention, by kind.", ["kind"]);
  const gaps = counter(
    "gaps_filled_total",
    "Times a live reader had to read the log because a relayed event was missing.",
  );
  const signatures = counter(
    "card_signatures_dropped_total",
    "Agent cards served without their signatures because a URL was changed.",
  );
  const grpc = gauge("card_grpc_interfaces", "GRPC interfaces of the agent's card; calls over them bypass the record.");
  addSources(gauge, sources);

  return {
    call: (method, outcome, seconds) => {
      const known = method !== null && operationOf(method) !== undefined;
      calls.observe({ method: known ? method : "other", outcome }, seconds);
    },
    eventsRecorded: (count) => events.inc(count),
    turnEnded: (outcome) => turns.inc({ outcome }),
    idsMapped: () => mapped.inc(),
    commit: (seconds, writes) => {
      commitSeconds.observe(seconds);
      commitWrites.observe(writes);
    },
    gapFilled: () => gaps.inc(),
    swept: (kind, count) => swept.inc({ kind }, count),
    grpcInterfaces: (count) => grpc.set(count),
    cardSignaturesDropped: () => signatures.inc(),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}

type MakeGauge = <L extends string>(name: string, help: string, labelNames?: L[]) => Gauge<L>;

/** Values that are asked for when somebody scrapes. */
function addSources(gauge: MakeGauge, sources: MetricsSources): void {
  const { subscribers, relayConnected, countTasks } = sources;
  if (subscribers !== undefined) onScrape(gauge("subscribers", "Task subscribers open."), subscribers);
  if (relayConnected !== undefined) {
    onScrape(gauge("relay_connected", "1 while the relay to other instances works."), () => Number(relayConnected()));
  }
  if (countTasks === undefined) return;
  const tasks = gauge("tasks", "Tasks in the record, by state.", ["state"]);
  const maxAgeMs = sources.countsMaxAgeMs ?? 15_000;
  let askedAt = Number.NEGATIVE_INFINITY;
  collectWith(tasks, async () => {
    if (sources.monotonicMs() - askedAt < maxAgeMs) return;
    askedAt = sources.monotonicMs();
    const counts = await countTasks().catch(() => null);
    if (counts === null) return;
    tasks.reset();
    for (const { state, count } of counts) tasks.set({ state }, count);
  });
}

function onScrape(gauge: Gauge, value: () => number): void {
  collectWith(gauge, () => gauge.set(value()));
}

/** prom-client calls `collect` of a metric before it renders it; its types only know it as a constructor option. */
function collectWith(gauge: Gauge, collect: () => void | Promise<void>): void {
  Object.assign(gauge, { collect });
}
