/** Condition types and how they are marked: the time of the last transition changes with the status alone. */
import type { DurableAgentCondition } from "@durable-agent/crds/durable-agent";
import type { ConditionReason } from "../reasons.ts";

/** The conditions of a DurableAgent, in the order in which they are listed. */
export const conditionTypes = ["Ready", "Injected", "TrafficRouted", "StoreReady", "RelayReady"] as const;
/** One of {@link conditionTypes}. */
export type ConditionType = (typeof conditionTypes)[number];

/** What a condition says, without the times. */
export interface Finding {
  status: "True" | "False" | "Unknown";
  reason: ConditionReason;
  message: string;
}

/**
 * Conditions for the findings. Ready is the first of Injected, TrafficRouted and StoreReady that is not true; RelayReady
 * does not count, since without NATS everything works, only slower (P11).
 */
export function markConditions(
  findings: Record<Exclude<ConditionType, "Ready">, Finding>,
  previous: DurableAgentCondition[],
  at: { observedGeneration: number; now: Date },
): DurableAgentCondition[] {
  const gates: Finding[] = [findings.Injected, findings.TrafficRouted, findings.StoreReady];
  const ready = gates.find((finding) => finding.status !== "True") ?? {
    status: "True",
    reason: "Ready",
    message: "the agent's tasks survive its pods",
  };
  const all: Record<ConditionType, Finding> = { Ready: ready, ...findings };
  return conditionTypes.map((type) => {
    const finding = all[type];
    const before = previous.find((condition) => condition.type === type);
    return {
      type,
      ...finding,
      observedGeneration: at.observedGeneration,
      lastTransitionTime: before?.status === finding.status ? before.lastTransitionTime : formatTime(at.now),
    };
  });
}

const passingReasons: ReadonlySet<string> = new Set<ConditionReason>(["RollingOut", "WaitingForPods", "Deleting"]);

/** Whether a reason for not being ready goes away without anybody doing anything. */
export function passesByItself(reason: string): boolean {
  return passingReasons.has(reason);
}

/** RFC 3339 in whole seconds, as metav1.Time is stored. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
