/** The operator's metrics. Labels come from closed sets: outcomes, reason codes, controller names. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Every metric, and the registry that prints them. */
export interface Metrics {
  registry: Registry;
  admissions: Counter<"webhook" | "outcome" | "reason">;
  admissionSeconds: Histogram<"webhook">;
  reconciles: Counter<"controller" | "outcome">;
  queueDepth: Gauge<"controller">;
  leading: Gauge;
  certificateExpiry: Gauge<"kind">;
  agents: Gauge<"ready">;
  watchFaults: Counter;
}

/** Creates the metrics; the gauges that can be asked at scrape time are. */
export function createMetrics(ask: {
  queueDepths: () => Record<string, number>;
  agentsByReady: () => Record<string, number>;
}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const prefix = "durable_agent_operator_";
  return {
    registry,
    admissions: new Counter({
      name: `${prefix}admissions_total`,
      help: "Admission requests by webhook, outcome and reason code.",
      labelNames: ["webhook", "outcome", "reason"],
      registers,
    }),
    admissionSeconds: new Histogram({
      name: `${prefix}admission_seconds`,
      help: "Time to answer an admission request.",
      labelNames: ["webhook"],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
    reconciles: new Counter({
      name: `${prefix}reconciles_total`,
      help: "Rounds by controller and outcome.",
      labelNames: ["controller", "outcome"],
      registers,
    }),
    queueDepth: new Gauge({
      name: `${prefix}queue_depth`,
      help: "Keys that wait, by controller.",
      labelNames: ["controller"],
      registers,
      collect() {
        for (const [controller, depth] of Object.entries(ask.queueDepths())) this.set({ controller }, depth);
      },
    }),
    leading: new Gauge({ name: `${prefix}leading`, help: "1 on the replica that leads.", registers }),
    certificateExpiry: new Gauge({
      name: `${prefix}certificate_expiry_timestamp_seconds`,
      help: "When a certificate ends, by kind (authority, serving).",
      labelNames: ["kind"],
      registers,
    }),
    agents: new Gauge({
      name: `${prefix}agents`,
      help: "DurableAgents by the status of their Ready condition; on the leader only.",
      labelNames: ["ready"],
      registers,
      collect() {
        for (const [ready, count] of Object.entries(ask.agentsByReady())) this.set({ ready }, count);
      },
    }),
    watchFaults: new Counter({
      name: `${prefix}watch_faults_total`,
      help: "Lists and watches that failed and were started again.",
      registers,
    }),
  };
}
