/** NetworkPolicies that would keep clients from the sidecar. */
import { isDeepStrictEqual } from "node:util";
import { PORTS } from "@durable-agent/crds/contract";
import type { AgentTarget } from "../kubernetes/agent-target.ts";
import type { NetworkPolicy } from "../kubernetes/objects.ts";
import { selectorMatches } from "./selection.ts";
import type { TrafficMode } from "./traffic.ts";

/**
 * The policies that let clients reach the agent's port on these pods while none lets them reach the sidecar's: what one
 * policy allows, no other forbids. With NamedPort a rule by name follows the name; with PortEnv the number stays.
 */
export function findBlockingPolicies(
  policies: NetworkPolicy[],
  labels: Record<string, string> | undefined,
  context: { target: AgentTarget; trafficMode: TrafficMode },
): string[] {
  const { target, trafficMode } = context;
  if (trafficMode === "PortEnv") return [];
  const sidecarName = trafficMode === "NamedPort" ? target.portName : undefined;
  const selecting = policies.filter((policy) => selectorMatches(policy.spec.podSelector, labels) && isIngress(policy));
  const toSidecar = selecting.flatMap(rulesOf).filter((rule) => covers(rule, PORTS.a2a, sidecarName));
  return selecting
    .filter((policy) =>
      rulesOf(policy)
        .filter((rule) => covers(rule, target.port, target.portName))
        .flatMap(clientsOf)
        .some((client) => !toSidecar.some((rule) => admits(rule, client))),
    )
    .map((policy) => policy.metadata.name ?? "");
}

function rulesOf(policy: NetworkPolicy): Rule[] {
  return policy.spec.ingress ?? [];
}

function covers(rule: Rule, port: number, name: string | undefined): boolean {
  const entries = rule.ports ?? [];
  return (
    entries.length === 0 ||
    entries.some((entry) =>
      typeof entry.port === "number"
        ? port >= entry.port && port <= (entry.endPort ?? entry.port)
        : entry.port === undefined || entry.port === name,
    )
  );
}

/** A rule without clients admits everyone. */
const everyone = "everyone";

function clientsOf({ from = [] }: Rule): unknown[] {
  return from.length === 0 ? [everyone] : from;
}

function admits(rule: Rule, client: unknown): boolean {
  return clientsOf(rule).some(
    (other) => other === everyone || isDeepStrictEqual(other, client) || covered(other, client),
  );
}

/** Every pod of the namespace, or of all namespaces, is admitted: so is any selection of them. */
function covered(other: unknown, client: unknown): boolean {
  const one = client as Peer;
  if (isDeepStrictEqual(other, { podSelector: {} }))
    return one.podSelector !== undefined && one.namespaceSelector === undefined;
  return isDeepStrictEqual(other, { namespaceSelector: {} }) && client !== everyone && one.ipBlock === undefined;
}

interface Peer {
  podSelector?: unknown;
  namespaceSelector?: unknown;
  ipBlock?: unknown;
}

type Rule = NonNullable<NetworkPolicy["spec"]["ingress"]>[number];

function isIngress(policy: NetworkPolicy): boolean {
  return policy.spec.policyTypes?.includes("Ingress") ?? true;
}
