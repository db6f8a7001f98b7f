import { describe, expect, test } from "vitest";
import { ANNOTATIONS } from "@durable-agent/crds/contract";
import { loadConfig, settings } from "../src/config.ts";
import { parseDurationMs } from "../src/kubernetes/duration.ts";
import { readInjectAnnotation } from "../src/kubernetes/inject-annotation.ts";
import type { Workload } from "../src/kubernetes/objects.ts";
import { planAnnotation } from "../src/reconcile/annotated-workloads.ts";
import { agentNameFor } from "../src/reconcile/names.ts";
import { findAgentServices, keepRouted, planRestore, steppedPorts } from "../src/reconcile/traffic.ts";
import { durableAgent } from "./support/durable-agents.ts";
import { service, workload } from "./support/worlds.ts";

const digest = (text: string): string => Buffer.from(text).toString("hex");

describe("the inject annotation", () => {
  const rows: [text: string | undefined, meaning: string][] = [
    ["true", "inject"],
    ["True", "inject"],
    [" true ", "inject"],
    ["false", "refuse"],
    [undefined, "unset"],
    ["", "unset"],
    ["yes", "unset"],
  ];
  test.each(rows)("%j means %s", (text, meaning) => {
    expect(readInjectAnnotation(text === undefined ? {} : { annotations: { [ANNOTATIONS.inject]: text } })).toBe(
      meaning,
    );
  });
});

describe("an annotated workload", () => {
  const annotated: Workload = {
    ...workload(),
    metadata: { ...workload().metadata, annotations: { [ANNOTATIONS.inject]: "true" } },
  };
  const made = durableAgent({ metadata: { labels: { "durable-agent.dev/created-by": "annotation" } } });
  const steps = (of: Workload, agents: Parameters<typeof planAnnotation>[1]): string[] =>
    planAnnotation(of, agents, digest).map((step) =>
      step.kind === "create" ? `create ${step.agent.metadata.name}` : `delete ${step.name}`,
    );

  test("gets a DurableAgent of its name that it owns", () => {
    const [step] = planAnnotation(annotated, [], digest);
    expect(step).toMatchObject({
      kind: "create",
      agent: { metadata: { name: "researcher", ownerReferences: [{ kind: "Deployment", uid: "uid-of-workload" }] } },
    });
  });
  test("gets none where one names it already", () => expect(steps(annotated, [durableAgent()])).toEqual([]));
  test("gets one with the kind in its name where the name is another workload's", () => {
    const other = durableAgent({ spec: { workload: { kind: "StatefulSet", name: "researcher" } } });
    expect(steps(annotated, [other])).toEqual(["create researcher-deployment"]);
  });
  test("loses the one that was made for it when the annotation goes", () => {
    expect(steps(workload(), [made])).toEqual(["delete researcher"]);
  });
  test("keeps one that a user made", () => expect(steps(workload(), [durableAgent()])).toEqual([]));
  test("is not asked twice to let go", () => {
    const leaving = durableAgent({ metadata: { ...made.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } });
    expect(steps(workload(), [leaving])).toEqual([]);
  });
});

test("a long workload's name becomes a name of 63 characters that no other workload gets", () => {
  const long = (end: string): string =>
    agentNameFor({ kind: "Deployment", name: `${"a".repeat(80)}${end}` }, [], (text) => digest(text).slice(-8));
  expect(long("x")).toHaveLength(63);
  expect(long("x")).not.toBe(long("y"));
});

describe("a routed Service that somebody writes", () => {
  const routed = service(8080, { routed: true });
  const written = (targetPort: number | string) => ({
    ...routed,
    spec: { ...routed.spec, ports: [{ name: "web", port: 80, targetPort }] },
  });
  const outcome = (targetPort: number | string) => {
    const kept = keepRouted(written(targetPort));
    return [kept.spec.ports?.[0]?.targetPort, kept.metadata.annotations?.[ANNOTATIONS.originalTargetPorts]];
  };
  test("with its own port again stays routed", () =>
    expect(outcome(8080)).toEqual(["durable-a2a", '{"80":8080,"web":8080}']));
  test("with another port is the user's", () => expect(outcome(9000)).toEqual([9000, "{}"]));
  test.each([
    ["named because a second port is added", { name: "http", port: 80, targetPort: "durable-a2a" }, "http", "80"],
    ["renumbered", { name: "web", port: 81, targetPort: "durable-a2a" }, "web", "81"],
    ["named and renumbered", { name: "http", port: 81, targetPort: "durable-a2a" }, "http", "81"],
  ])("with a port %s keeps the original targetPort", (_title, port, ...keys) => {
    const ports = [port, { name: "udp", port: 80, protocol: "UDP", targetPort: 8080 }];
    const kept = keepRouted({ ...routed, spec: { ...routed.spec, ports } });
    expect(kept.spec.ports).toEqual(ports);
    expect(JSON.parse(kept.metadata.annotations?.[ANNOTATIONS.originalTargetPorts] ?? "")).toEqual(
      Object.fromEntries(keys.map((key) => [key, 8080])),
    );
    const step = planRestore(kept, undefined);
    expect(step && steppedPorts(step).map(({ targetPort }) => targetPort)).toEqual([8080, 8080]);
  });
  test("without our note is left alone, so that restoring works", () => {
    const plain = service(8080);
    expect(keepRouted(plain)).toBe(plain);
  });
  test("with a note that is not ours to read is left alone", () => {
    const odd = {
      ...routed,
      metadata: { ...routed.metadata, annotations: { [ANNOTATIONS.originalTargetPorts]: "{" } },
    };
    expect(keepRouted(odd)).toBe(odd);
  });
});

describe("a routed Service whose note was lost", () => {
  const routed = service(8080, { routed: true });
  const lost = {
    ...routed,
    metadata: { ...routed.metadata, annotations: { [ANNOTATIONS.originalTargetPorts]: "{}" } },
  };
  test("is put back to the agent's port", () => {
    const step = planRestore(lost, 8080);
    expect(step && steppedPorts(step)[0]?.targetPort).toBe(8080);
  });
  test("keeps its marks where the agent's port is not known either", () => {
    expect(planRestore(lost, undefined)).toBeUndefined();
  });
  test("still counts as a Service of the agent", () => {
    const [found] = findAgentServices([lost], { app: "researcher" }, { container: "agent", port: 8080 });
    expect(found?.entries.map(({ original }) => original)).toEqual([8080]);
  });
});

describe("durations", () => {
  test.each([
    ["168h", 604_800_000],
    ["1h30m", 5_400_000],
    ["25s", 25_000],
    ["0s", 0],
  ])("%s", (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });
  test.each(["", "1d", "5", "-1s", "1s1h"])("%j is a bug", (text) => {
    expect(() => parseDurationMs(text)).toThrow("not a duration");
  });
});

describe("settings", () => {
  const least = { POD_NAMESPACE: "system", SIDECAR_IMAGE: "sidecar:1" };
  test("two are enough", () => {
    expect(loadConfig(least, "host")).toMatchObject({
      identity: "host",
      webhookPort: 9443,
      leaseMs: 10_000,
      watchNamespaces: [],
    });
  });
  test("every problem is reported at once, by name", () => {
    const problems = ["POD_NAMESPACE", "LOG_LEVEL", "SIDECAR_IMAGE", "WEBHOOK_PORT"];
    const pattern = new RegExp(problems.map((name) => `${name}: `).join("[^]*"));
    expect(() => loadConfig({ WEBHOOK_PORT: "x", LOG_LEVEL: "loud" }, "host")).toThrow(pattern);
  });
  test("a list is separated by commas", () => {
    const { excludedNamespaces } = loadConfig({ ...least, EXCLUDED_NAMESPACES: "system, kube-system," }, "host");
    expect(excludedNamespaces).toEqual(["system", "kube-system"]);
  });
  test("an empty variable counts as unset", () => {
    expect(loadConfig({ ...least, WATCH_NAMESPACES: "", WEBHOOK_CERT_DIR: "" }, "host")).not.toHaveProperty(
      "webhookCertDir",
    );
  });
  test("the table names each once", () => {
    expect(new Set(settings.map(({ name }) => name)).size).toBe(settings.length);
  });
});
