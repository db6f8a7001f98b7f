import { describe, expect, test } from "vitest";
import { ANNOTATIONS, LABELS } from "@durable-agent/crds/contract";
import type { Pod, Workload } from "../src/kubernetes/objects.ts";
import { planReconcile } from "../src/reconcile/plan.ts";
import type { World } from "../src/reconcile/world.ts";
import { durableAgent } from "./support/durable-agents.ts";
import { carryOut, now, pod, service, workload, world } from "./support/worlds.ts";

/** What a plan does, in words short enough for a row. */
function describeActions(state: World): string[] {
  return planReconcile(state).actions.map((action) => {
    if (action.kind === "stepService") return `${action.step.kind} ${action.step.service.metadata.name}`;
    if (action.kind === "stamp") return action.stamp === undefined ? "unstamp" : "stamp";
    if (action.kind === "evictPod") return `evict ${action.pod.metadata.name}`;
    return action.kind;
  });
}

/** status and reason of a condition after the plan. */
function condition(state: World, type: string): string {
  const action = planReconcile(state).actions.find((candidate) => candidate.kind === "writeStatus");
  const status = action?.kind === "writeStatus" ? action.status : state.agent.status;
  const found = status?.conditions?.find((candidate) => candidate.type === type);
  return `${found?.status}/${found?.reason}`;
}

/** The world after the first round, with the pods that stand in the row; injected ones were made from its template. */
function stampedWorld(parts: Parameters<typeof world>[0] = {}): World {
  const first = world({ ...parts, pods: [] });
  const stamped = carryOut(first, planReconcile(first));
  const hash = stamped.workload?.spec.template.metadata?.annotations?.[ANNOTATIONS.configHash] ?? "";
  const pods = (parts.pods ?? world().pods).map((made) =>
    made.metadata.annotations === undefined
      ? made
      : {
          ...made,
          metadata: {
            ...made.metadata,
            annotations: { ...made.metadata.annotations, [ANNOTATIONS.configHash]: hash },
          },
        },
  );
  const second = { ...stamped, pods };
  const { actions } = planReconcile(second);
  return carryOut(second, { actions: actions.filter((action) => action.kind === "writeStatus") });
}

const service2 = { pods: [pod("a", { injected: "Service" }), pod("b", { injected: "Service" })] };

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

describe("the traffic mode", () => {
  const named = workload({ portName: "http" });
  const rows: [title: string, parts: Parameters<typeof world>[0], mode: string][] = [
    [
      "is NamedPort where every Service uses the name",
      { workload: named, services: [service("http"), service("http", { name: "b" })] },
      "NamedPort",
    ],
    ["is NamedPort where the port has a name and nobody uses it yet", { workload: named, services: [] }, "NamedPort"],
    [
      "is Service where one Service uses the number",
      { workload: named, services: [service("http"), service(8080, { name: "b" })] },
      "Service",
    ],
    ["is Service where the port has no name", {}, "Service"],
    [
      "is PortEnv where a Service is headless and the variable is known",
      {
        workload: named,
        services: [service("http", { headless: true })],
        spec: { spec: { agent: { portEnv: "PORT" } } },
      },
      "PortEnv",
    ],
    [
      "is what the user says",
      { workload: named, services: [service("http")], spec: { spec: { traffic: { mode: "Service" } } } },
      "Service",
    ],
  ];
  test.each(rows)("%s", (_title, parts, mode) => {
    expect(stampedWorld(parts).agent.status?.target?.trafficMode).toBe(mode);
  });
});

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

describe("the traffic mode of a stamped workload", () => {
  const named = workload({ portName: "http" });
  const portEnv = { spec: { spec: { agent: { portEnv: "PORT" } } } };
  const rows: [title: string, parts: Parameters<typeof world>[0], services: World["services"]][] = [
    ["NamedPort", { services: [service("http")] }, [service("http")]],
    ["Service", { services: [service(8080)] }, [service(8080)]],
    ["PortEnv", { services: [service(8080)], ...portEnv }, [service(8080)]],
  ];
  test.each(rows)("stays %s while a Service is deleted and made again", (mode, parts, services) => {
    const before = stampedWorld({ workload: named, ...parts });
    const without = { ...before, services: [] };
    expect(describeActions(without)).not.toContain("stamp");
    const again = { ...carryOut(without, planReconcile(without)), services };
    expect(describeActions(again)).not.toContain("stamp");
    expect(carryOut(again, planReconcile(again)).agent.status?.target?.trafficMode).toBe(mode);
  });

  test("changes when it works no more", () => {
    const before = stampedWorld({ workload: named, services: [service("http")] });
    expect(describeActions({ ...before, services: [service(8080)] })).toContain("stamp");
    const numbered = stampedWorld({ workload: named, services: [service(8080)] });
    const headless = { ...numbered, services: [service(8080, { headless: true })] };
    headless.agent.spec.agent.portEnv = "PORT";
    expect(describeActions(headless)).toContain("stamp");
  });

  test("is chosen freely before the first stamp", () => {
    const held = world({ workload: named, services: [service(8080)], credentials: {} });
    const unstamped = { ...carryOut(held, planReconcile(held)), services: [service("http")] };
    expect(carryOut(unstamped, planReconcile(unstamped)).agent.status?.target?.trafficMode).toBe("NamedPort");
  });
});

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

describe("deletion", () => {
  const deleting = (state: World): World => {
    const copy = structuredClone(state);
    copy.agent.metadata.deletionTimestamp = "2026-01-02T03:00:00Z";
    return copy;
  };
  const routed = { ...stampedWorld(service2), services: [service(8080, { routed: true })] };

  test("Services first, then the stamp, then the pods, then the finalizer", () => {
    const first = deleting(routed);
    expect(describeActions(first)).toEqual(["writeStatus", "restore researcher", "unstamp"]);
    const second = carryOut(first, planReconcile(first));
    expect(describeActions(second)).toEqual([]);
    expect(second.workload?.spec.template.metadata?.labels?.[LABELS.agent]).toBeUndefined();
    const last = { ...second, pods: [pod("c"), pod("d")] };
    expect(describeActions(last)).toEqual(["removeFinalizer"]);
  });

  test("a namespace that has lost its webhooks gets its workloads back all the same", () => {
    expect(describeActions({ ...deleting(routed), namespaceExcluded: true })).toEqual(
      describeActions(deleting(routed)),
    );
    const gone = { ...routed, namespaceExcluded: true, workload: undefined, pods: [] };
    expect(describeActions(gone)).toContain("removeFinalizer");
  });

  test("a workload that is gone holds nothing up", () => {
    const gone = { ...deleting(routed), workload: undefined, pods: [] };
    expect(describeActions(gone)).toEqual(["restore researcher", "removeFinalizer"]);
  });

  test("an heir takes the workload over as it is", () => {
    const heir = durableAgent({ name: "heir", metadata: { creationTimestamp: "2026-02-01T00:00:00Z" } });
    expect(describeActions({ ...deleting(routed), rivals: [heir], pods: [] })).toEqual(["removeFinalizer"]);
  });

  test("an heir that leaves the workload alone is none", () => {
    const heir = durableAgent({
      name: "heir",
      spec: { agent: { port: "nobody-has-it" } },
      metadata: { creationTimestamp: "2026-02-01T00:00:00Z" },
    });
    const state = { ...deleting(routed), rivals: [heir] };
    expect(describeActions(state)).toEqual(["writeStatus", "restore researcher", "unstamp"]);
  });

  const stops: [title: string, spec: Partial<Workload["spec"]>, said: RegExp][] = [
    ["a paused Deployment", { paused: true }, /2 pods .* paused/],
    ["a partition", { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 1 } } }, /partition 1/],
  ];
  test.each(stops)("%s is said to hold it up", (_title, spec, said) => {
    const state = deleting(routed);
    state.workload = { ...workload(), spec: { ...workload().spec, ...spec } };
    const action = planReconcile(state).actions.find((candidate) => candidate.kind === "writeStatus");
    const conditions = action?.kind === "writeStatus" ? action.status.conditions : [];
    expect(conditions?.find(({ type }) => type === "Ready")?.message).toMatch(said);
  });

  test("without a finalizer there is nothing to do", () => {
    expect(describeActions(deleting(world()))).toEqual([]);
  });
});
