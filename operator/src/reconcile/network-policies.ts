/** NetworkPolicies that would keep clients from the sidecar. */
import { isDeepStrictEqual } from "node:util";
import { PORTS } from "@durable-agent/crds/contract";
import type { AgentTarget } from "../kubernetes/agent-target.ts";
import type { NetworkPolicy } from "../kubernetes/objects.ts";
import { selectorMatches } from "./selection.ts";

/**
 * The policies that let clients reach the agent's port on these pods but not the sidecar's. With NamedPort a rule by name
 * follows the name; with PortEnv the number stays, so the caller does not ask.
 */
export function findBlockingPolicies(
  policies: NetworkPolicy[],
  labels: Record<string, string> | undefined,
  context: { target: AgentTarget; trafficMode: "NamedPort" | "Service" },
): string[] {
  const { target, trafficMode } = context;
  const sidecarPort = PORTS.a2a;
  const covers = (rule: Rule, port: number, name: string | undefined): boolean =>
    rule.ports === undefined ||
    rule.ports.length === 0 ||
    rule.ports.some((entry) =>
      typeof entry.port === "number"
        ? port >= entry.port && port <= (entry.endPort ?? entry.port)
        : entry.port === undefined || entry.port === name,
    );
  const sidecarName = trafficMode === "NamedPort" ? target.portName : undefined;
  return policies
    .filter((policy) => selectorMatches(policy.spec.podSelector, labels) && isIngress(policy))
    .filter((policy) => {
      const rules = policy.spec.ingress ?? [];
      const reached = rules.filter((rule) => covers(rule, target.port, target.portName));
      const sameClients = (one: Rule, other: Rule): boolean => isDeepStrictEqual(one.from ?? [], other.from ?? []);
      return reached.some(
        (rule) => !rules.some((other) => sameClients(rule, other) && covers(other, sidecarPort, sidecarName)),
      );
    })
    .map((policy) => policy.metadata.name ?? "");
}

type Rule = NonNullable<NetworkPolicy["spec"]["ingress"]>[number];

function isIngress(policy: NetworkPolicy): boolean {
  return policy.spec.policyTypes?.includes("Ingress") ?? true;
}
