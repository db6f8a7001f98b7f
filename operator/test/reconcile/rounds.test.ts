import { describe, expect, test } from "vitest";
import type { Pod } from "../../src/kubernetes/objects.ts";
import { planReconcile } from "../../src/reconcile/plan.ts";
import { durableAgent } from "../support/durable-agents.ts";
import { condition, describeActions, service2, stampedWorld } from "../support/planned-worlds.ts";
import { carryOut, pod, service, workload, world } from "../support/worlds.ts";

describe("the first rounds", () => {
  test("a workload is stamped after its finalizer, Secret and status are written", () => {
    expect(describeActions(world())).toEqual(["addFinalizer", "writeSecret", "writeStatus", "stamp"]);
  });

  test("a workload is not touched before its database has answered", () => {
    const away = world({ store: { status: "False", reason: "Unreachable", message: "connection refused" } });
    expect(describeActions(away)).toEqual(["addFinalizer", "writeSecret", "writeStatus"]);
    expect(condition(away, "Ready")).toBe("False/Unreachable");
    expect(planReconcile(away).requeueAfterMs).toBeGreaterThan(0);
  });

  test("a workload that is stamped already is still kept up while its database is away", () => {
    const away = { ...stampedWorld(), store: { status: "False", reason: "Unreachable", message: "refused" } as const };
    away.agent.spec.recovery.maxAttempts = 5;
    expect(describeActions(away)).toContain("stamp");
  });

  test("nothing is left to do until pods change", () => {
    expect(describeActions(stampedWorld())).toEqual([]);
  });

  test("the Services are led to the sidecar once every pod has one, and then nothing is left to do", () => {
    const injected = stampedWorld(service2);
    expect(describeActions(injected)).toEqual(["route researcher"]);
    const routed = carryOut(injected, planReconcile(injected));
    const settled = carryOut(routed, planReconcile(routed));
    expect(describeActions(settled)).toEqual([]);
    expect(settled.services[0]?.spec.ports?.[0]?.targetPort).toBe("durable-a2a");
    expect(settled.agent.status?.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      "Ready=True",
      "Injected=True",
      "TrafficRouted=True",
      "StoreReady=True",
      "RelayReady=True",
    ]);
    expect(settled.agent.status?.injected).toBe("2/2");
  });

  test("a config change stamps again, an operator's other sidecar does not", () => {
    const settled = stampedWorld();
    expect(describeActions({ ...settled, sidecarVersion: "v2" })).toEqual([]);
    const changed = structuredClone(settled);
    changed.agent.spec.recovery.maxAttempts = 5;
    expect(describeActions(changed)).toEqual(["stamp"]);
  });

  test("a config change is in force when every pod was made with it, an operator's other sidecar changes nothing", () => {
    const routed = { ...service2, services: [service(8080, { routed: true })] };
    const settled = stampedWorld(routed);
    expect(condition(settled, "Ready")).toBe("True/Ready");
    expect(condition({ ...settled, sidecarVersion: "v2" }, "Ready")).toBe("True/Ready");
    const changed = structuredClone(settled);
    changed.agent.spec.recovery.maxAttempts = 5;
    changed.agent.metadata.generation = 2;
    expect(condition(changed, "Ready")).toBe("False/RollingOut");
    const rolling = carryOut(changed, planReconcile(changed));
    expect(rolling.agent.status?.observedGeneration).toBe(2);
    expect(condition(rolling, "Injected")).toBe("False/RollingOut");
    expect(describeActions(rolling)).toEqual([]);
    const done = stampedWorld({ ...routed, spec: { spec: { recovery: changed.agent.spec.recovery } } });
    expect(condition({ ...rolling, pods: done.pods }, "Ready")).toBe("True/Ready");
  });

  test("with upgrade Rolling another sidecar stamps again, when no other workload restarts", () => {
    const rolling = { spec: { spec: { upgrade: "Rolling" as const } } };
    const settled = stampedWorld(rolling);
    expect(describeActions(settled)).toEqual([]);
    expect(describeActions({ ...settled, sidecarVersion: "v2" })).toEqual(["stamp"]);
    const waiting = { ...settled, sidecarVersion: "v2", upgradeSlotFree: false };
    expect(describeActions(waiting)).toEqual([]);
    expect(planReconcile(waiting).requeueAfterMs).toBeGreaterThan(0);
  });
});

test("a workload that cannot be assessed is not touched", () => {
  expect(
    describeActions(
      world({ rivals: [durableAgent({ name: "a", metadata: { creationTimestamp: "2025-01-01T00:00:00Z" } })] }),
    ),
  ).toEqual(["writeStatus"]);
});

describe("a labelled pod without a sidecar", () => {
  const missed = [pod("old", { labelled: true, ageMs: 61_000 }), pod("young", { labelled: true })];
  test("is evicted, one at a time and only when it is a minute old, where the user wants it", () => {
    expect(describeActions(stampedWorld({ pods: missed, spec: { spec: { replaceUninjected: true } } }))).toContain(
      "evict old",
    );
  });
  const going = pod("gone", { labelled: true });
  going.metadata.deletionTimestamp = "2026-01-02T03:04:00Z";
  const others: [title: string, other: Pod, replicas: number][] = [
    ["goes", going, 2],
    ["is not ready", pod("starting", { labelled: true, ready: false }), 3],
  ];
  test.each(others)("is not evicted while another one %s", (_title, other, replicas) => {
    const scaled = { ...workload(), spec: { ...workload().spec, replicas } };
    const evicts = (pods: Pod[]): boolean =>
      describeActions(stampedWorld({ workload: scaled, pods, spec: { spec: { replaceUninjected: true } } })).includes(
        "evict old",
      );
    expect(evicts([...missed, other])).toBe(false);
    expect(evicts([...missed, pod("up", { labelled: true })])).toBe(true);
  });
  test("is only reported otherwise", () => {
    expect(describeActions(stampedWorld({ pods: missed })).join()).not.toContain("evict");
  });
});

describe("a namespace without webhooks", () => {
  test("its workload is not touched, so its pods are not restarted for nothing", () => {
    expect(describeActions(world({ namespaceExcluded: true }))).toEqual(["writeStatus"]);
  });
  test("no pod is evicted there, since the next one would get no sidecar either", () => {
    const missed = stampedWorld({
      pods: [pod("old", { labelled: true, ageMs: 61_000 }), pod("b", { injected: "Service" })],
      spec: { spec: { replaceUninjected: true } },
    });
    expect(describeActions(missed)).toContain("evict old");
    expect(describeActions({ ...missed, namespaceExcluded: true }).join()).not.toContain("evict");
  });
});
