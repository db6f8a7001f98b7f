import { describe, expect, test } from "vitest";
import { LABELS } from "@durable-agent/crds/contract";
import { planReconcile } from "../../src/reconcile/plan.ts";
import type { World } from "../../src/reconcile/world.ts";
import { describeActions, service2, stampedWorld } from "../support/planned-worlds.ts";
import { carryOut, pod, service, workload } from "../support/worlds.ts";

describe("Services", () => {
  const rows: [title: string, state: World, actions: string[]][] = [
    [
      "stay as they are while one pod has no sidecar",
      stampedWorld({ pods: [pod("a", { injected: "Service" }), pod("b", { ready: false })] }),
      [],
    ],
    [
      "go back as soon as one ready pod lacks the port",
      {
        ...stampedWorld({ services: [service(8080, { routed: true })] }),
        pods: [pod("a", { injected: "Service" }), pod("b")],
      },
      ["restore researcher"],
    ],
    [
      "stay routed while there is no pod at all",
      { ...stampedWorld(service2), services: [service(8080, { routed: true })], pods: [] },
      [],
    ],
    [
      "that a GitOps tool has set back are routed again",
      { ...stampedWorld(service2), services: [service(8080)] },
      ["route researcher"],
    ],
    [
      "that a mode change has left behind are restored",
      {
        ...stampedWorld({
          spec: { spec: { traffic: { mode: "NamedPort" } } },
          workload: workload({ portName: "http" }),
        }),
        services: [service("http", { routed: true })],
        pods: [pod("a", { injected: "NamedPort" })],
      },
      ["restore researcher"],
    ],
    [
      "of other pods are not touched",
      {
        ...stampedWorld(service2),
        services: [{ ...service(8080), spec: { selector: { app: "x" }, ports: [{ port: 80 }] } }],
      },
      [],
    ],
  ];
  test.each(rows)("%s", (_title, state, actions) => {
    expect(describeActions(state).filter((action) => action !== "writeStatus")).toEqual(actions);
  });

  test("that wait for pods of another workload say so and are looked at again", () => {
    const canary = pod("c");
    canary.metadata.labels = { app: "researcher", track: "canary" };
    const own = workload();
    own.spec.selector = { matchLabels: { track: "stable" } };
    const pods = service2.pods.map((each) => ({
      ...each,
      metadata: { ...each.metadata, labels: { ...each.metadata.labels, track: "stable" } },
    }));
    const waiting = stampedWorld({ workload: own, pods: [...pods, canary] });
    expect(describeActions(waiting)).toEqual([]);
    expect(planReconcile(waiting).requeueAfterMs).toBeGreaterThan(0);
    expect(waiting.agent.status?.conditions?.find(({ type }) => type === "TrafficRouted")?.message).toContain(
      "2 of its 3 pods",
    );
    const alone = { ...waiting, pods: waiting.pods.filter(({ metadata }) => metadata.name !== "c") };
    const routed = carryOut(alone, planReconcile(alone));
    expect(planReconcile(carryOut(routed, planReconcile(routed))).requeueAfterMs).toBeUndefined();
    expect(planReconcile({ ...routed, pods: waiting.pods }).requeueAfterMs).toBeGreaterThan(0);
  });

  test("a restored Service has its own targetPort again", () => {
    const state = { ...stampedWorld({ services: [service(8080, { routed: true })] }), pods: [pod("a")] };
    expect(carryOut(state, planReconcile(state)).services[0]?.spec.ports?.[0]?.targetPort).toBe(8080);
  });
});

describe("a Service in front of two workloads", () => {
  /** One Service, and the pods of both workloads as each DurableAgent sees them. */
  const canaryPod = pod("c", { injected: "Service" });
  canaryPod.metadata.labels = { ...canaryPod.metadata.labels, [LABELS.agent]: "canary", track: "canary" };
  const pods = [...service2.pods, canaryPod];
  const stable = { ...stampedWorld({ pods, peers: ["canary"] }) };
  const seenByCanary = (services: World["services"]): World => {
    const own = workload();
    own.spec.replicas = 1;
    own.spec.selector = { matchLabels: { track: "canary" } };
    own.spec.template.metadata = { labels: { app: "researcher", track: "canary" } };
    const parts = { spec: { name: "canary" }, workload: own, pods, peers: ["researcher"], services };
    return { ...stampedWorld(parts), services };
  };
  const routed = carryOut(stable, planReconcile(stable));

  test("is routed by the first of two DurableAgents and left alone by the second", () => {
    expect(routed.services[0]?.metadata.labels?.[LABELS.routedBy]).toBe("researcher");
    const canary = seenByCanary(routed.services);
    expect(describeActions(canary)).not.toContain("route researcher");
    expect(carryOut(canary, planReconcile(canary)).services).toEqual(routed.services);
    expect(describeActions(carryOut(routed, planReconcile(routed)))).toEqual([]);
  });

  test("is handed over once when its DurableAgent is deleted, and restored with the last", () => {
    const leaving = structuredClone(routed);
    leaving.agent.metadata.deletionTimestamp = "2026-01-02T03:00:00Z";
    const left = carryOut(leaving, planReconcile(leaving));
    expect(left.services[0]?.metadata.labels?.[LABELS.routedBy]).toBe("canary");
    expect(left.services[0]?.spec).toEqual(routed.services[0]?.spec);
    expect(describeActions(left).join()).not.toMatch(/route|restore/);
    const canary = { ...seenByCanary(left.services), peers: [] };
    expect(describeActions(canary).join()).not.toMatch(/route|restore/);
    canary.agent.metadata.deletionTimestamp = "2026-01-02T03:00:00Z";
    expect(carryOut(canary, planReconcile(canary)).services[0]?.spec.ports?.[0]?.targetPort).toBe(8080);
  });

  test("is put back where its DurableAgent left the workload to one that needs no routed Service", () => {
    const parts = { services: [service(8080, { routed: true })], spec: { spec: { agent: { portEnv: "PORT" } } } };
    const state = stampedWorld({
      ...parts,
      pods: [pod("a", { injected: "PortEnv" }), pod("b", { injected: "PortEnv" })],
    });
    for (const { metadata } of state.services) metadata.labels = { ...metadata.labels, [LABELS.routedBy]: "former" };
    expect(describeActions(state)).toContain("restore researcher");
    expect(describeActions({ ...state, peers: ["former"] })).not.toContain("restore researcher");
  });

  test("is taken over from a DurableAgent that is no more", () => {
    expect(describeActions({ ...seenByCanary(routed.services), peers: [] })).toContain("route researcher");
  });
});
