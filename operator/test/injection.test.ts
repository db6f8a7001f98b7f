import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { type AdmissionInput, buildPodPatch, decideInjection } from "../src/injection/decision.ts";
import { injectSidecar } from "../src/injection/pod-injection.ts";
import type { Container, Pod } from "../src/kubernetes/objects.ts";
import { refuseReasons, skipReasons } from "../src/reasons.ts";
import { type AgentSketch, durableAgent } from "./support/durable-agents.ts";

interface Setup extends Pick<Partial<AdmissionInput>, "server" | "secrets"> {
  spec?: AgentSketch["spec"];
  target?: { container: string; port: number; portName?: string; trafficMode: "NamedPort" | "Service" | "PortEnv" };
  agentGone?: boolean;
}

const directory = fileURLToPath(new URL("./fixtures/pods/", import.meta.url));
const ownSecret = "durable-agent-researcher";

function readCase(name: string): { title: string; input: AdmissionInput } {
  const text = readFileSync(`${directory}${name}.yaml`, "utf8");
  const [pod, setup] = parseAllDocuments(text).map((document) => document.toJS() as unknown) as [Pod, Setup];
  const agent = durableAgent({
    ...(setup.spec === undefined ? {} : { spec: setup.spec }),
    ...(setup.target === undefined ? {} : { status: { target: setup.target } }),
  });
  return {
    title: /^# (?<title>.+)$/m.exec(text)?.groups?.["title"] ?? name,
    input: {
      pod,
      agent: setup.agentGone === true ? undefined : agent,
      clusterId: "0123abcd",
      server: setup.server ?? { major: 1, minor: 36 },
      defaults: { image: "durable-agent-sidecar:0.1.0", requests: { cpu: "50m", memory: "128Mi" } },
      ownSecret,
      secrets: setup.secrets ?? [{ name: ownSecret, keys: ["secret-key", "database-url", "nats-url"] }],
      drainToken: "minted-for-this-pod",
    },
  };
}

const names = readdirSync(directory)
  .filter((file) => file.endsWith(".yaml"))
  .map((file) => file.slice(0, -".yaml".length));
const cases = names.map((name) => ({ name, ...readCase(name) }));

describe("each fixture pod gets the patch beside it", () => {
  test.each(cases)("$name: $title", async ({ name, input }) => {
    const decision = decideInjection(input);
    const outcome =
      decision.kind === "inject"
        ? { kind: "inject" }
        : { kind: decision.kind, reason: decision.reason, message: decision.message };
    const golden = `${JSON.stringify({ decision: outcome, patch: buildPodPatch(input.pod, decision) }, null, 2)}\n`;
    await expect(golden).toMatchFileSnapshot(`${directory}${name}.patch.json`);
  });
});

const injectedCases = cases.flatMap(({ name, input }) => {
  const decision = decideInjection(input);
  return decision.kind === "inject" ? [{ name, input, pod: injectSidecar(input.pod, decision.plan) }] : [];
});

describe("an injected pod", () => {
  test.each(injectedCases)("$name: injecting again changes nothing", ({ input, pod }) => {
    const second = decideInjection({ ...input, pod, drainToken: "another" });
    expect(second).toMatchObject({ kind: "skip", reason: "AlreadyInjected" });
    expect(buildPodPatch(pod, second)).toEqual([]);
  });

  test.each(injectedCases)("$name: the sidecar meets the restricted level by itself", ({ pod }) => {
    const sidecar = findSidecar(pod);
    expect(sidecar?.securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      runAsNonRoot: true,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(sidecar?.resources?.limits).toBeUndefined();
  });

  test.each(injectedCases)(
    "$name: no credential reaches another container, and none is an environment value",
    ({ pod }) => {
      const mounts = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
        .filter((container) => container.volumeMounts?.some((mount) => mount.name === "durable-agent-credentials"))
        .map((container) => container.name);
      expect(mounts).toEqual(["durable-agent"]);
      expect(findSidecar(pod)?.env?.map((variable) => variable.name)).not.toContain("DATABASE_URL");
    },
  );

  test.each(injectedCases)("$name: port names are unique and as short as Kubernetes wants them", ({ pod }) => {
    for (const container of pod.spec.containers) {
      const portNames = (container.ports ?? []).flatMap((port) => port.name ?? []);
      expect(new Set(portNames).size).toBe(portNames.length);
      for (const name of portNames) expect(name).toMatch(/^(?=.{1,15}$)[a-z0-9]+(-[a-z0-9]+)*$/);
    }
  });
});

test("every reason to skip or refuse a pod has a fixture", () => {
  const seen = new Set(
    cases
      .map(({ input }) => decideInjection(input))
      .flatMap((decision) => (decision.kind === "inject" ? [] : [decision.reason])),
  );
  const expected = [...Object.keys(skipReasons), ...Object.keys(refuseReasons)].filter(
    (reason) => reason !== "AlreadyInjected",
  );
  expect([...seen].toSorted()).toEqual(expected.toSorted());
});

test("every variable that the operator sets is one that a user cannot set", () => {
  const definition = readFileSync(
    fileURLToPath(new URL(import.meta.resolve("@durable-agent/crds/definition.yaml"))),
    "utf8",
  );
  const reserved = /e\.name in \[(?<names>[^\]]+)\]/.exec(definition)?.groups?.["names"] ?? "";
  const names = new Set([...reserved.matchAll(/'(\w+)'/g)].map(([, name]) => name));
  const own = injectedCases.flatMap(({ input, pod }) => {
    const users = new Set(input.agent?.spec.sidecar.env?.map(({ name }) => name));
    return (findSidecar(pod)?.env ?? []).map(({ name }) => name).filter((name) => !users.has(name));
  });
  expect(new Set(own).size).toBeGreaterThan(20);
  expect(own.filter((name) => !names.has(name))).toEqual([]);
});

function findSidecar(pod: Pod): Container | undefined {
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers].find(
    (container) => container.name === "durable-agent",
  );
}
