import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ANNOTATIONS, LABELS } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { isWrite } from "../../../e2e/cluster/audit-log.ts";
import { hasSidecar } from "../../src/kubernetes/sidecar-facts.ts";
import {
  deployments,
  durableAgents,
  events,
  leases,
  pods,
  secrets,
  services,
} from "../../src/kubernetes/resource-types.ts";
import type { KubernetesObject, Pod, Service, Workload } from "../../src/kubernetes/objects.ts";
import { parseAllDocuments, stringify } from "yaml";
import { deployment, durableAgentFor, service } from "../support/agent-workloads.ts";
import {
  eventually,
  install,
  locateOperatorCluster,
  type OperatorCluster,
  operatorUser,
  playKubelet,
  type RunningOperator,
  renderChart,
  startOperatorCluster,
} from "../support/operator-cluster.ts";

const located = locateOperatorCluster();
const title = located.kind === "found" ? "" : ` (${located.how})`;
const namespace = "agents";

describe.skipIf(located.kind === "missing")(`the operator on a real API server${title}`, () => {
  let cluster: OperatorCluster;
  let kubelet: { stop(): Promise<void> };
  let operator: RunningOperator;

  beforeAll(async () => {
    cluster = await startOperatorCluster();
    await cluster.kubectl(["create", "namespace", namespace]);
    kubelet = playKubelet(cluster, namespace);
    operator = await cluster.startOperator("operator-1");
    await eventually(
      () => probe(operator, "/readyz"),
      (status) => status === 200,
      "the operator is ready",
    );
  });
  afterAll(async () => {
    await kubelet?.stop();
    await operator?.stop();
    await cluster?.stop();
  });

  const readAgent = (name: string): Promise<(DurableAgent & KubernetesObject) | undefined> =>
    cluster.admin.read(durableAgents, { name, namespace });
  const readService = (name: string): Promise<Service | undefined> => cluster.admin.read(services, { name, namespace });
  const readWorkload = (name: string): Promise<Workload | undefined> =>
    cluster.admin.read(deployments, { name, namespace });
  const listPods = (name: string): Promise<Pod[]> =>
    cluster.admin.list(pods, { namespace, labelSelector: `app=${name}` });
  const becomesReady = (name: string): Promise<DurableAgent> =>
    eventually(
      () => readAgent(name),
      (agent) => conditionOf(agent, "Ready") === "True/Ready",
      `${name} becomes ready`,
    );

  test("a running Deployment gets its sidecars and its Service leads to them", async () => {
    await cluster.apply(deployment("researcher"), service("researcher", 8080));
    await eventually(
      () => listPods("researcher"),
      (found) => found.length === 2,
      "the pods run without a sidecar",
    );
    await cluster.apply(durableAgentFor("researcher"));
    const agent = await becomesReady("researcher");
    const running = await listPods("researcher");
    expect(running.map(hasSidecar)).toEqual([true, true]);
    expect(agent.status?.injected).toBe("2/2");
    expect(agent.status?.target).toEqual({ container: "agent", port: 8080, trafficMode: "Service" });
    expect((await readService("researcher"))?.spec.ports?.[0]?.targetPort).toBe("durable-a2a");
    expect(agent.status?.tasks).toEqual({ working: 0, interrupted: 0, finished: 0 });
    expect(await cluster.kubectl(["get", "durableagents", "-n", namespace, "researcher", "--no-headers"])).toMatch(
      /^researcher +researcher +True +2\/2 +0 /,
    );
  });

  test("nothing that went well is told as a warning", async () => {
    const told = await cluster.admin.list(events, { namespace });
    const warnings = (told as EventJson[])
      .filter(({ type, source }) => type === "Warning" && source?.component === "durable-agent-operator")
      .map(({ reason, message }) => `${reason}: ${message}`);
    expect(warnings).toEqual([]);
  });

  test("the sidecar's credentials are in a Secret that belongs to the DurableAgent", async () => {
    const secret = await cluster.admin.read(secrets, { name: "durable-agent-researcher", namespace });
    expect(Object.keys(secret?.data ?? {}).toSorted()).toEqual(["database-url", "nats-url", "secret-key"]);
    expect(Buffer.from(secret?.data?.["secret-key"] ?? "", "base64").toString()).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    expect(secret?.metadata.ownerReferences?.[0]).toMatchObject({ kind: "DurableAgent", name: "researcher" });
  });

  test("a pod that missed its sidecar is evicted when it is a minute old, where that is asked for: it is made here", async () => {
    await cluster.apply(deployment("keeper", { replicas: 1 }), durableAgentFor("keeper", { replaceUninjected: true }));
    await becomesReady("keeper");
    await cluster.apply(loosePod("missed", undefined, { app: "keeper" }));
    await cluster.kubectl(["label", "pod", "missed", "-n", namespace, `${LABELS.agent}=keeper`]);
    await eventually(
      () => readAgent("keeper"),
      (agent) => conditionOf(agent, "Injected") === "False/UninjectedPods",
      "the pod is reported",
    );
  });

  test("looking again at a world that is in order writes nothing", async () => {
    const writes = async (): Promise<string[]> =>
      (await cluster.operatorRequests())
        .filter((entry) => isWrite(entry) && !/leases/.test(entry.resource))
        .map((entry) => `${entry.verb} ${entry.resource} ${entry.name}`);
    const reads = async (): Promise<number> =>
      (await cluster.operatorRequests()).filter(
        ({ verb, resource }) => verb === "get" && resource.includes("durableagents"),
      ).length;
    await writesSettle(writes);
    const [writesBefore, readsBefore] = [await writes(), await reads()];
    await cluster.kubectl(["label", "durableagent", "researcher", "-n", namespace, "looked=again"]);
    await eventually(reads, (count) => count > readsBefore, "the operator looks again");
    await writesSettle(writes);
    expect((await writes()).slice(writesBefore.length)).toEqual([]);
  });

  test("server-side apply without force of a routed Service is a conflict that names the operator", async () => {
    const apply = ["apply", "--server-side", "--field-manager=somebody", "-f", "-"];
    const attempt = cluster.kubectl(apply, stringify(service("researcher", 8080)));
    await expect(attempt).rejects.toThrow(/conflict with "durable-agent-operator".*targetPort/s);
  });

  test("a GitOps tool that applies its own targetPort again changes nothing", async () => {
    await cluster.apply(service("researcher", 8080));
    expect((await readService("researcher"))?.spec.ports?.[0]?.targetPort).toBe("durable-a2a");
  });

  test("a GitOps tool that applies server-side and by force changes nothing, and sees no difference", async () => {
    const manifest = [deployment("researcher"), service("researcher", 8080)].map((object) => stringify(object));
    const asGitOps = ["--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-"];
    const before = await Promise.all([readWorkload("researcher"), readService("researcher")]);
    await cluster.kubectl(["apply", ...asGitOps], manifest.join("---\n"));
    const [workload, applied] = await Promise.all([readWorkload("researcher"), readService("researcher")]);
    expect(applied?.spec.ports?.[0]?.targetPort).toBe("durable-a2a");
    expect(workload?.spec.template).toEqual(before[0]?.spec.template);
    // Ends with 1 where there is a difference.
    await cluster.kubectl(["diff", ...asGitOps], manifest.join("---\n"));
  });

  test("a changed setting replaces the pods, and they run with it", async () => {
    const before = (await readWorkload("researcher"))?.spec.template.metadata?.annotations?.[ANNOTATIONS.configHash];
    await cluster.apply(durableAgentFor("researcher", { recovery: { policy: "Fail" } }));
    await eventually(
      () => readWorkload("researcher"),
      (workload) => workload.spec.template.metadata?.annotations?.[ANNOTATIONS.configHash] !== before,
      "the template is stamped anew",
    );
    await eventually(
      () => readAgent("researcher"),
      (agent) =>
        agent.status?.observedGeneration === agent.metadata.generation && conditionOf(agent, "Ready") === "True/Ready",
      "it is ready in its new generation",
    );
    const stay = (await listPods("researcher")).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    expect(stay.map((pod) => sidecarVariable(pod, "RECOVERY_POLICY"))).toEqual(["Fail", "Fail"]);
  });

  test("after rollout undo to the time before, the Service leads to the agent until the sidecars are back", async () => {
    await cluster.kubectl(["rollout", "undo", "deployment/researcher", "-n", namespace, "--to-revision=1"]);
    await becomesReady("researcher");
    await eventually(
      () => listPods("researcher"),
      (found) => found.length === 2 && found.every(hasSidecar),
      "sidecars are back",
    );
    const told = await cluster.admin.list(events, { namespace });
    const reasons = (told as EventJson[]).map(({ reason }) => reason);
    expect(reasons).toEqual(expect.arrayContaining(["Stamped", "ServiceRouted"]));
  });

  test("a Service that uses the port's name is not edited at all", async () => {
    await cluster.apply(
      deployment("planner", { portName: "http" }),
      service("planner", "http"),
      durableAgentFor("planner"),
    );
    const before = await readService("planner");
    const agent = await becomesReady("planner");
    expect(conditionOf(agent, "TrafficRouted")).toBe("True/NamedPort");
    expect((await readService("planner"))?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
    const [pod] = await listPods("planner");
    expect(pod?.spec.containers[0]?.ports?.find(({ name }) => name === "http")?.containerPort).toBe(15800);
  });

  test("an annotation is enough, and taking it away takes everything away", async () => {
    await cluster.apply(deployment("annotated", { portName: "a2a", replicas: 1 }));
    await cluster.kubectl(["annotate", "deployment", "annotated", "-n", namespace, `${ANNOTATIONS.inject}=true`]);
    const agent = await becomesReady("annotated");
    expect(agent.metadata.ownerReferences?.[0]).toMatchObject({ kind: "Deployment", name: "annotated" });
    await cluster.kubectl(["annotate", "deployment", "annotated", "-n", namespace, `${ANNOTATIONS.inject}-`]);
    await eventually(
      async () => ({ agent: await readAgent("annotated") }),
      (seen) => seen.agent === undefined,
      "the DurableAgent goes",
    );
    expect((await listPods("annotated")).some(hasSidecar)).toBe(false);
  });

  test("what cannot be done is said in a condition", async () => {
    await cluster.apply(durableAgentFor("nobody"));
    await eventually(
      () => readAgent("nobody"),
      (agent) => conditionOf(agent, "Ready") === "False/WorkloadNotFound",
      "the missing workload is reported",
    );
    await cluster.apply(durableAgentFor("zz-second", { workload: { kind: "Deployment", name: "planner" } }));
    await eventually(
      () => readAgent("zz-second"),
      (agent) => conditionOf(agent, "Ready") === "False/Conflict",
      "the conflict is reported",
    );
    await cluster.kubectl(["delete", "durableagent", "nobody", "zz-second", "-n", namespace, "--timeout=10s"]);
  });

  test("a workload in a namespace without webhooks is left alone, and the condition says why", async () => {
    const place = { name: "inside", namespace: install.namespace };
    const annotations = { [ANNOTATIONS.inject]: "true" };
    await cluster.apply(deployment("inside", { namespace: install.namespace, replicas: 1, annotations }));
    await eventually(
      () => cluster.admin.read(durableAgents, place),
      (agent) => conditionOf(agent, "Ready") === "False/NamespaceExcluded",
      "the excluded namespace is reported",
    );
    expect((await cluster.admin.read(deployments, place))?.metadata.generation).toBe(1);
    await cluster.kubectl(["annotate", "deployment", "inside", "-n", install.namespace, `${ANNOTATIONS.inject}-`]);
    await eventually(
      async () => ({ agent: await cluster.admin.read(durableAgents, place) }),
      (seen) => seen.agent === undefined,
      "the DurableAgent goes",
    );
    await cluster.kubectl(["delete", "deployment", "inside", "-n", install.namespace]);
  });

  test("a labelled pod whose DurableAgent is gone starts as it is, with a warning", async () => {
    await cluster.apply(loosePod("orphan", "nobody-at-all"), loosePod("nameless", ""));
    const found = await Promise.all(
      ["orphan", "nameless"].map((name) => cluster.admin.read(pods, { name, namespace })),
    );
    expect(found.map((pod) => pod !== undefined && !hasSidecar(pod))).toEqual([true, true]);
  });

  test("a labelled pod that runs without a sidecar is reported", async () => {
    await cluster.apply(loosePod("sneaked-in", undefined, { app: "planner" }));
    await cluster.kubectl(["label", "pod", "sneaked-in", "-n", namespace, `${LABELS.agent}=planner`]);
    await eventually(
      () => readAgent("planner"),
      (agent) => conditionOf(agent, "Injected") === "False/UninjectedPods",
      "the pod is reported",
    );
    await cluster.kubectl(["delete", "pod", "sneaked-in", "-n", namespace, "--now"]);
    await becomesReady("planner");
  });

  test("a StatefulSet behind a headless Service hands its port to the sidecar", async () => {
    const { spec, ...workload } = deployment("crawler", { portName: "http" });
    await cluster.apply(
      { ...workload, kind: "StatefulSet", spec: { ...(spec as object), serviceName: "crawler" } },
      headless(service("crawler", "http")),
      durableAgentFor("crawler", { workload: { kind: "StatefulSet", name: "crawler" } }),
    );
    await eventually(
      () => readAgent("crawler"),
      (agent) => conditionOf(agent, "TrafficRouted") === "False/HeadlessService",
      "the headless Service is reported",
    );
    await cluster.apply(
      durableAgentFor("crawler", {
        workload: { kind: "StatefulSet", name: "crawler" },
        agent: { portEnv: "PORT" },
        traffic: { mode: "PortEnv" },
      }),
    );
    await becomesReady("crawler");
    await eventually(
      () => listPods("crawler"),
      (found) => found.length === 2 && found.every((pod) => sidecarVariable(pod, "PORT") === "8080"),
      "both pods have the sidecar on the agent's port",
    );
  });

  test("a quota that refuses the pods is said in the condition, of a Deployment and of a StatefulSet", async () => {
    const tight = {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "tight", namespace },
      // Nothing fits beside what is there, so a Deployment's additional pod and a StatefulSet's first one are refused.
      spec: { hard: { "requests.memory": "0" } },
    };
    const { spec, ...workload } = deployment("refused-set");
    await cluster.apply(tight);
    await cluster.apply(
      deployment("refused"),
      durableAgentFor("refused"),
      { ...workload, kind: "StatefulSet", spec: { ...(spec as object), serviceName: "refused-set" } },
      durableAgentFor("refused-set", { workload: { kind: "StatefulSet", name: "refused-set" } }),
    );
    for (const name of ["refused", "refused-set"]) {
      const agent = await eventually(
        () => readAgent(name),
        (seen) => conditionOf(seen, "Injected") === "False/PodsRefused",
        `${name} says why its pods are not created`,
      );
      const said = agent.status?.conditions?.find(({ type }) => type === "Injected")?.message;
      expect(said).toMatch(/quota/);
    }
    await cluster.kubectl(["delete", "resourcequota", "tight", "-n", namespace]);
    await cluster.kubectl(["delete", "durableagent", "refused", "refused-set", "-n", namespace, "--timeout=20s"]);
    await cluster.kubectl(["delete", "deployment/refused", "statefulset/refused-set", "-n", namespace]);
  });

  test("a policy that refuses the stamp is said in the condition and once in an Event", async () => {
    const policy = (kind: string, spec: object): object => ({
      apiVersion: "admissionregistration.k8s.io/v1",
      kind,
      metadata: { name: "no-sidecars.example.com" },
      spec,
    });
    await cluster.apply(
      deployment("guarded"),
      policy("ValidatingAdmissionPolicy", {
        failurePolicy: "Fail",
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: ["apps"],
              apiVersions: ["v1"],
              operations: ["UPDATE"],
              resources: ["deployments"],
              resourceNames: ["guarded"],
            },
          ],
        },
        validations: [
          {
            expression: `!("${LABELS.agent}" in object.spec.template.metadata.labels)`,
            message: "no sidecars here",
          },
        ],
      }),
      policy("ValidatingAdmissionPolicyBinding", {
        policyName: "no-sidecars.example.com",
        validationActions: ["Deny"],
      }),
    );
    const template = { spec: { template: { metadata: { labels: { [LABELS.agent]: "guarded" } } } } };
    const patch = [
      "patch",
      "deployment",
      "guarded",
      "-n",
      namespace,
      "--dry-run=server",
      "-p",
      JSON.stringify(template),
    ];
    await eventually(
      () => cluster.kubectl(patch).catch(String),
      (answer) => answer.includes("no sidecars here"),
      "the policy is in force",
    );
    await cluster.apply(durableAgentFor("guarded"));
    const agent = await eventually(
      () => readAgent("guarded"),
      (seen) => conditionOf(seen, "Ready") === "False/WriteRefused",
      "the refused write is said",
    );
    expect(agent.status?.conditions?.find(({ type }) => type === "Ready")?.message).toContain("no sidecars here");
    const told = await eventually(
      async () => (await cluster.admin.list(events, { namespace })) as EventJson[],
      (seen) => seen.some(({ reason }) => reason === "WriteRefused"),
      "an Event says so",
    );
    expect(told.filter(({ reason }) => reason === "WriteRefused").map(({ type }) => type)).toEqual(["Warning"]);
    const all = "validatingadmissionpolicy,validatingadmissionpolicybinding";
    await cluster.kubectl(["delete", all, "no-sidecars.example.com"]);
    await becomesReady("guarded");
    await cluster.kubectl(["delete", "durableagent", "guarded", "-n", namespace, "--timeout=20s"]);
  });

  test.each<[lost: string, patch: object]>([
    ["the certificate", { "tls.crt": null, "tls.key": null }],
    ["the authority with its certificate", { "ca.crt": null, "ca.key": null, "tls.crt": null, "tls.key": null }],
    ["the authority's key", { "ca.key": null }],
  ])("%s is replaced before anybody notices that it is gone", async (_lost, patch) => {
    const secret = { name: "durable-agent-webhook-tls", namespace: "durable-agent-system" };
    const before = (await cluster.admin.read(secrets, secret))?.data?.["tls.crt"];
    const admit = async (): Promise<unknown> =>
      await cluster.kubectl(["create", "--dry-run=server", "-f", "-"], JSON.stringify(loosePod("dry", "planner")));
    // Two streams of admissions, so that there is no moment in which none asks; a failed one fails the test.
    const stopped = new AbortController();
    let admissions = 0;
    const streams = [1, 2].map(async () => {
      while (!stopped.signal.aborted) {
        await admit();
        admissions += 1;
      }
    });
    try {
      await cluster.admin.merge(secrets, secret, { data: patch });
      const after = await Promise.race([
        Promise.all(streams).then(() => undefined),
        eventually(
          async () => (await cluster.admin.read(secrets, secret))?.data?.["tls.crt"],
          (certificate) => certificate !== undefined && certificate !== before,
          "a new certificate is issued",
          45_000,
        ),
      ]);
      expect(after).toBeDefined();
      const then = admissions;
      await eventually(
        () => Promise.resolve(admissions),
        (count) => count >= then + 6,
        "pods go on being admitted",
      );
    } finally {
      stopped.abort();
    }
    await Promise.all(streams);
  });

  test("when the leader is killed another replica goes on within 15 seconds", async () => {
    // The program as it is in the image, outside a cluster, with a kubeconfig.
    const second = await cluster.startOperator("operator-2", { WEBHOOK_PORT: "0" }, "bundle");
    operator.process.kill("SIGKILL");
    await operator.process.exited;
    const killedAt = performance.now();
    await cluster.apply(deployment("late", { replicas: 1 }), durableAgentFor("late"));
    await eventually(
      () => readAgent("late"),
      (agent) => agent.status !== undefined,
      "the second replica reconciles",
      20_000,
    );
    expect(performance.now() - killedAt).toBeLessThan(15_000);
    await second.stop();
  });

  test("with no operator a labelled pod does not start, and any other pod does", async () => {
    await expect(cluster.apply(loosePod("labelled", "planner"))).rejects.toThrow(/pods\.durable-agent\.dev/);
    await cluster.apply(loosePod("unlabelled", undefined));
    expect(await cluster.admin.read(pods, { name: "unlabelled", namespace })).toBeDefined();
  });

  test("deleting the DurableAgent gives the workload back as it was", async () => {
    // The regular rounds are so far apart that what follows can have waited for none: a new DurableAgent gets its own.
    operator = await cluster.startOperator("operator-3", { STORE_PROBE_MS: "3600000" });
    await becomesReady("researcher");
    await cluster.kubectl(["delete", "durableagent", "researcher", "-n", namespace, "--timeout=30s"]);
    const workload = await readWorkload("researcher");
    expect(workload?.spec.template.metadata?.labels).toEqual({ app: "researcher" });
    expect(workload?.spec.template.metadata?.annotations ?? {}).not.toHaveProperty([ANNOTATIONS.configHash]);
    const restored = await readService("researcher");
    expect(restored?.spec.ports?.[0]?.targetPort).toBe(8080);
    expect(restored?.metadata.labels?.[LABELS.routedBy]).toBeUndefined();
    expect((await listPods("researcher")).some(hasSidecar)).toBe(false);
  });

  test("deleting the DurableAgent takes out a stamp that came with the workload's own manifest", async () => {
    const copied = deployment("copied") as { spec: { template: { metadata: object } } };
    copied.spec.template.metadata = {
      labels: { app: "copied", [LABELS.agent]: "copied" },
      annotations: { [ANNOTATIONS.configHash]: "0123456789abcdef" },
    };
    await cluster.apply(copied, durableAgentFor("copied"));
    await becomesReady("copied");
    // As kubectl get -o yaml | kubectl apply does: by now the manifest's owner has every field.
    const stamped = (await readWorkload("copied"))?.spec.template.metadata;
    copied.spec.template.metadata = { labels: stamped?.labels, annotations: stamped?.annotations };
    await cluster.apply(copied);
    await cluster.kubectl(["delete", "durableagent", "copied", "-n", namespace, "--timeout=30s"]);
    const restored = (await readWorkload("copied"))?.spec.template.metadata;
    expect(restored?.labels).toEqual({ app: "copied" });
    expect(restored?.annotations ?? {}).toEqual({});
    expect((await listPods("copied")).some(hasSidecar)).toBe(false);
  });

  test("a pod that missed its sidecar is evicted when it is a minute old, where that is asked for: it goes here", async () => {
    await eventually(
      async () => ({ pod: await cluster.admin.read(pods, { name: "missed", namespace }) }),
      ({ pod }) => pod === undefined,
      "the pod is evicted",
      90_000,
    );
    const [evicted] = (await cluster.operatorRequests()).filter(({ resource }) => resource === "pods/eviction");
    const createdAt = (await cluster.auditEntries()).find(
      ({ verb, resource, name }) => verb === "create" && resource === "pods" && name === "missed",
    )?.at;
    expect((evicted?.at ?? 0) - (createdAt ?? 0)).toBeGreaterThan(58_000);
    await becomesReady("keeper");
  }, 120_000);

  test("removing the operator first leaves nothing that hangs, also when the removal loses its Lease meanwhile", async () => {
    const [kept] = (await listPods("planner")).filter(hasSidecar);
    const podReference = { name: kept?.metadata.name ?? "", namespace };
    const held = ["tests.example.com/held"];
    await cluster.admin.merge(pods, podReference, { metadata: { finalizers: held } });
    const uninstall = await cluster.uninstall();
    await uninstall.waitForLine(/workloads are not restored yet/, 40_000);
    await cluster.admin.merge(
      leases,
      { name: `${install.name}-operator`, namespace: install.namespace },
      { spec: { holderIdentity: "somebody", leaseDurationSeconds: 1 } },
    );
    await uninstall.waitForLine(/the lease was lost, taking it again/);
    await cluster.admin.merge(pods, podReference, { metadata: { finalizers: null } });
    expect(await uninstall.exited).toMatchObject({ code: 0 });
    await expect(operator.process.exited).resolves.toMatchObject({ code: 1 });
    expect((await listPods("planner")).some(hasSidecar)).toBe(false);
    await cluster.kubectl(["delete", "durableagents", "--all", "-n", namespace, "--timeout=10s"]);
  });

  test("no request of the operator was ever forbidden, so the chart's permissions suffice", async () => {
    const refused = (await cluster.operatorRequests()).filter(({ status }) => status === 403);
    expect(refused.map(({ verb, requestUri }) => `${verb} ${requestUri}`)).toEqual([]);
  });

  test("the chart gives no permission that the operator does not use", async () => {
    const requests = await cluster.operatorRequests();
    const used = new Set(requests.map(({ verb, resource }) => `${verb} ${resource}`));
    const unused = (await listPermissions()).filter((permission) => !used.has(permission));
    // A Secret that is applied for the first time is asked for as "patch", and "create" is checked on the way.
    expect(unused.toSorted()).toEqual(["create secrets"]);
  });

  test.each([
    ["create", "", "pods"],
    ["delete", "", "pods"],
    ["create", "", "pods/exec"],
    ["list", "", "secrets"],
    ["watch", "", "secrets"],
    ["delete", "", "secrets"],
    ["get", "", "configmaps"],
    ["create", "", "services"],
    ["delete", "", "services"],
    ["create", "apps", "deployments"],
    ["delete", "apps", "deployments"],
    ["patch", "apps", "deployments/scale"],
    ["get", "apps", "daemonsets"],
    ["create", "networking.k8s.io", "networkpolicies"],
    ["list", "", "nodes"],
    ["list", "", "namespaces"],
    ["create", "", "serviceaccounts/token"],
    ["impersonate", "", "users"],
    ["create", "rbac.authorization.k8s.io", "clusterrolebindings"],
    ["patch", "apiextensions.k8s.io", "customresourcedefinitions"],
    ["create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"],
    ["patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"],
    ["patch", "admissionregistration.k8s.io", "validatingwebhookconfigurations"],
  ])("the operator may not %s %s %s", async (verb, group, path) => {
    const [resource, subresource] = path.split("/");
    const about = { verb, group, resource, ...(subresource === undefined ? {} : { subresource }), namespace };
    expect(await mayOperator(about)).toBe(false);
  });

  test("the question above is one that is answered with yes where the operator may", async () => {
    expect(await mayOperator({ verb: "patch", group: "apps", resource: "deployments", namespace })).toBe(true);
  });

  async function mayOperator(resourceAttributes: object): Promise<boolean> {
    const review = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: { user: operatorUser, resourceAttributes },
    };
    const answer = await cluster.kubectl(["create", "-o", "json", "-f", "-"], JSON.stringify(review));
    return (JSON.parse(answer) as { status: { allowed: boolean } }).status.allowed;
  }
});

function conditionOf(agent: DurableAgent, type: string): string {
  const found = agent.status?.conditions?.find((condition) => condition.type === type);
  return `${found?.status}/${found?.reason}`;
}

async function probe(operator: RunningOperator, path: string): Promise<number> {
  return (await fetch(`${operator.probeUrl}${path}`)).status;
}

function sidecarVariable(pod: Pod, name: string): string | undefined {
  const sidecar = pod.spec.initContainers?.find((container) => container.name === "durable-agent");
  return sidecar?.env?.find((variable) => variable.name === name)?.value;
}

function headless(object: Record<string, unknown>): object {
  return { ...object, spec: { ...(object["spec"] as object), clusterIP: "None" } };
}

/** Every permission of the rendered chart, as `verb group/resource`. */
async function listPermissions(): Promise<string[]> {
  const objects = parseAllDocuments(await renderChart([])).map((document) => document.toJS() as RoleJson | null);
  const rules = objects.flatMap((object) => object?.rules ?? []).filter((rule) => Array.isArray(rule.verbs));
  return [
    ...new Set(
      rules.flatMap(({ apiGroups, resources, verbs }) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group === "" ? "" : `${group}/`}${resource}`)),
        ),
      ),
    ),
  ];
}

interface EventJson extends KubernetesObject {
  type?: string;
  reason?: string;
  message?: string;
  source?: { component?: string };
}

interface RoleJson {
  rules?: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
}

function loosePod(name: string, agent: string | undefined, others: Record<string, string> = {}): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { ...others, ...(agent === undefined ? {} : { [LABELS.agent]: agent }) } },
    spec: { containers: [{ name: "agent", image: "example.com/agent:1", ports: [{ containerPort: 8080 }] }] },
  };
}

/** Until two looks, a store round apart, have seen the same writes. */
async function writesSettle(writes: () => Promise<string[]>): Promise<void> {
  let before = -1;
  await eventually(
    async () => {
      const count = (await writes()).length;
      const same = count === before;
      before = count;
      if (!same) await new Promise((resolve) => setTimeout(resolve, 2_500));
      return same;
    },
    (same) => same,
    "the operator comes to rest",
  );
}
