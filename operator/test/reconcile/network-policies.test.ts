import { describe, expect, test } from "vitest";
import { planReconcile } from "../../src/reconcile/plan.ts";
import type { World } from "../../src/reconcile/world.ts";
import { condition, describeActions, service2, stampedWorld } from "../support/planned-worlds.ts";
import { pod, service, workload, world } from "../support/worlds.ts";

describe("NetworkPolicies", () => {
  type Ingress = NonNullable<World["networkPolicies"][number]["spec"]["ingress"]>;
  const policy = (name: string, ingress: Ingress): World["networkPolicies"][number] => ({
    metadata: { name },
    spec: { podSelector: {}, policyTypes: ["Ingress"], ingress },
  });
  const [x, y] = [{ podSelector: { matchLabels: { app: "x" } } }, { podSelector: { matchLabels: { app: "y" } } }];
  const agentOnly = policy("agent", [{ from: [x], ports: [{ port: 8080 }] }]);
  const outside = policy("outside", [{ from: [{ ipBlock: { cidr: "0.0.0.0/0" } }], ports: [{ port: 8080 }] }]);
  const toSidecar = (from: Ingress[number]["from"]) =>
    policy("sidecar", [{ ...(from && { from }), ports: [{ port: 15800 }] }]);
  const rows: [title: string, networkPolicies: World["networkPolicies"], actions: string[]][] = [
    ["that keep clients from the sidecar keep the Service where it is", [agentOnly], []],
    ["that only let other clients reach it do so too", [agentOnly, toSidecar([y])], []],
    ["that together let the clients reach it are no obstacle", [agentOnly, toSidecar([y, x])], ["route researcher"]],
    ["of which one lets everyone reach it are no obstacle", [agentOnly, toSidecar(undefined)], ["route researcher"]],
    ["nor are they if it lets all pods here", [agentOnly, toSidecar([{ podSelector: {} }])], ["route researcher"]],
    ["nor if it lets all namespaces", [agentOnly, toSidecar([{ namespaceSelector: {} }])], ["route researcher"]],
    ["all namespaces are not all addresses", [outside, toSidecar([{ namespaceSelector: {} }])], []],
  ];
  test.each(rows)("%s", (_title, networkPolicies, actions) => {
    const state = stampedWorld({ ...service2, networkPolicies });
    expect(describeActions(state)).toEqual(actions);
    expect(condition(state, "TrafficRouted")).toBe(
      `False/${actions.length === 0 ? "NetworkPolicy" : "WaitingForPods"}`,
    );
    // Neither policies nor Services' other pods are watched.
    expect(planReconcile(state).requeueAfterMs === undefined).toBe(actions.length > 0);
  });

  test("do not keep a Service from being put back", () => {
    const routed = { ...stampedWorld(service2), services: [service(8080, { routed: true })], pods: [pod("a")] };
    expect(describeActions({ ...routed, networkPolicies: [agentOnly] })).toContain("restore researcher");
  });

  const named = { workload: workload({ portName: "http" }), services: [service("http")] };

  test("hold up the first stamp where the pods take the traffic, and say so", () => {
    const held = world({ ...named, networkPolicies: [agentOnly] });
    expect(describeActions(held)).not.toContain("stamp");
    expect(condition(held, "Ready")).toBe("False/NetworkPolicy");
    expect(planReconcile(held).requeueAfterMs).toBeGreaterThan(0);
    expect(describeActions(world({ ...named, networkPolicies: [agentOnly, toSidecar([x])] }))).toContain("stamp");
    const byName = policy("by-name", [{ ports: [{ port: "http" }] }]);
    expect(describeActions(world({ ...named, networkPolicies: [byName] }))).toContain("stamp");
  });

  test("leave a workload as it is that is stamped already", () => {
    const stamped = { ...stampedWorld(named), networkPolicies: [agentOnly] };
    expect(describeActions(stamped)).toEqual(["writeStatus"]);
    stamped.agent.spec.recovery.maxAttempts = 5;
    expect(describeActions(stamped)).toContain("stamp");
  });
});
