import { describe, expect, test } from "vitest";
import { planReconcile } from "../../src/reconcile/plan.ts";
import type { World } from "../../src/reconcile/world.ts";
import { durableAgent } from "../support/durable-agents.ts";
import { condition, describeActions, service2, stampedWorld } from "../support/planned-worlds.ts";
import { carryOut, now, pod, service, workload, world } from "../support/worlds.ts";

describe("conditions", () => {
  const conflicting = durableAgent({
    name: "older",
    spec: { workload: { name: "researcher" } },
    metadata: { creationTimestamp: "2025-01-01T00:00:00Z" },
  });
  const policy = (ports: { port: number | string }[]): World["networkPolicies"][number] => ({
    metadata: { name: "only-8080" },
    spec: { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ ports }] },
  });
  const rows: [title: string, state: World, type: string, expected: string][] = [
    ["the younger of two DurableAgents yields", world({ rivals: [conflicting] }), "Ready", "False/Conflict"],
    ["a workload that is not there", world({ workload: undefined, pods: [] }), "Injected", "False/WorkloadNotFound"],
    ["a namespace without webhooks", world({ namespaceExcluded: true }), "Ready", "False/NamespaceExcluded"],
    [
      "two containers",
      world({ workload: workload({ template: { containers: [{ name: "a" }, { name: "b" }] } }) }),
      "Injected",
      "False/AmbiguousContainer",
    ],
    [
      "a host network",
      world({ workload: workload({ template: { hostNetwork: true } }) }),
      "Injected",
      "False/HostNetwork",
    ],
    [
      "pods on their way",
      stampedWorld({ pods: [pod("a", { injected: "Service" }), pod("b")] }),
      "Injected",
      "False/RollingOut",
    ],
    [
      "a labelled pod that was never injected",
      stampedWorld({ pods: [pod("a", { labelled: true })] }),
      "Injected",
      "False/UninjectedPods",
    ],
    [
      "no replicas",
      stampedWorld({ pods: [], workload: { ...workload(), spec: { ...workload().spec, replicas: 0 } } }),
      "Injected",
      "True/ScaledToZero",
    ],
    [
      "OnDelete",
      stampedWorld({
        workload: {
          ...workload({ kind: "StatefulSet" }),
          spec: { ...workload().spec, updateStrategy: { type: "OnDelete" } },
        },
        pods: [pod("a")],
      }),
      "Injected",
      "False/OnDelete",
    ],
    [
      "a quota that refuses the pods",
      stampedWorld({
        workload: {
          ...workload(),
          status: { conditions: [{ type: "ReplicaFailure", status: "True", message: "exceeded quota" }] },
        },
      }),
      "Injected",
      "False/PodsRefused",
    ],
    [
      "a StatefulSet whose last word was that a pod is refused",
      stampedWorld({
        workload: workload({ kind: "StatefulSet" }),
        pods: [pod("a", { injected: "Service" })],
        failedCreation: { message: "exceeded quota", at: new Date("2026-06-01T00:00:00Z") },
      }),
      "Injected",
      "False/PodsRefused",
    ],
    [
      "a StatefulSet that has created a pod since one was refused",
      stampedWorld({
        workload: workload({ kind: "StatefulSet" }),
        pods: [pod("a", { injected: "Service" })],
        failedCreation: { message: "exceeded quota", at: new Date("2020-01-01T00:00:00Z") },
      }),
      "Injected",
      "True/AllInjected",
    ],
    [
      "a headless Service without portEnv",
      stampedWorld({ services: [service(8080, { headless: true })] }),
      "TrafficRouted",
      "False/HeadlessService",
    ],
    [
      "NamedPort without a name",
      stampedWorld({ spec: { spec: { traffic: { mode: "NamedPort" } } } }),
      "TrafficRouted",
      "False/NamedPortImpossible",
    ],
    ["no Service", stampedWorld({ services: [] }), "TrafficRouted", "True/NoService"],
    [
      "a NetworkPolicy by number",
      stampedWorld({ ...service2, networkPolicies: [policy([{ port: 8080 }])] }),
      "TrafficRouted",
      "False/NetworkPolicy",
    ],
    [
      "a NetworkPolicy that lists both ports",
      stampedWorld({ ...service2, networkPolicies: [policy([{ port: 8080 }, { port: 15800 }])] }),
      "TrafficRouted",
      "False/WaitingForPods",
    ],
    [
      "a Secret that is not there",
      world({ spec: { spec: { store: { secretRef: { name: "mine" } } } } }),
      "StoreReady",
      "False/SecretNotFound",
    ],
    [
      "a Secret without url",
      world({
        spec: { spec: { store: { secretRef: { name: "mine" } } } },
        secrets: { mine: { metadata: { name: "mine" }, data: {} } },
      }),
      "StoreReady",
      "False/SecretIncomplete",
    ],
    [
      "somebody else's Secret",
      world({ secrets: { "durable-agent-researcher": { metadata: {}, data: {} } } }),
      "StoreReady",
      "False/NotOwned",
    ],
    ["no database at all", world({ credentials: {} }), "StoreReady", "False/NotConfigured"],
    [
      "no NATS at all",
      stampedWorld({ credentials: { databaseUrl: "postgresql://db/tasks" } }),
      "RelayReady",
      "False/NotConfigured",
    ],
  ];
  test.each(rows)("%s", (_title, state, type, expected) => {
    expect(condition(state, type)).toBe(expected);
  });

  test("the time of a condition changes with its status alone", () => {
    const first = stampedWorld();
    const later = {
      ...first,
      now: new Date(now.getTime() + 60_000),
      pods: [pod("a", { injected: "Service" }), pod("b")],
    };
    const action = planReconcile(later).actions.find((candidate) => candidate.kind === "writeStatus");
    const status = action?.kind === "writeStatus" ? action.status : undefined;
    expect(status?.conditions?.find(({ type }) => type === "Injected")?.lastTransitionTime).toBe(
      "2026-01-02T03:04:05Z",
    );
  });
});

describe("a write that was refused", () => {
  const message = "a policy says no";
  test("is told before it is tried again, and not twice", () => {
    const refused = world({ refused: { action: "writeSecret", message } });
    expect(describeActions(refused)).toEqual(["writeStatus", "addFinalizer", "writeSecret", "stamp"]);
    expect(condition(refused, "Ready")).toBe("False/WriteRefused");
    const told = carryOut(refused, { actions: planReconcile(refused).actions.slice(0, 1) });
    expect(describeActions(told)).toEqual(["addFinalizer", "writeSecret", "stamp"]);
  });
  test("of a Service stands at the traffic", () => {
    const refused = { ...stampedWorld(service2), refused: { action: "stepService" as const, message } };
    expect([condition(refused, "Injected"), condition(refused, "TrafficRouted")]).toEqual([
      "True/AllInjected",
      "False/WriteRefused",
    ]);
  });
  test("is told of a deletion as well", () => {
    const refused = { ...stampedWorld(service2), refused: { action: "stamp" as const, message } };
    refused.agent.metadata.deletionTimestamp = "2026-01-02T03:00:00Z";
    expect(condition(refused, "Ready")).toBe("False/WriteRefused");
  });
});
