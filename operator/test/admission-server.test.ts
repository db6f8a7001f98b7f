import { request } from "node:https";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { carryOutStep } from "../src/certificates/carry-out.ts";
import type { KeyPair } from "../src/certificates/key-pair.ts";
import type { Secret } from "../src/kubernetes/objects.ts";
import { durableAgents, secrets } from "../src/kubernetes/resource-types.ts";
import { type AdmissionServer, startAdmissionServer, webhookPaths } from "../src/server/admission-server.ts";
import { createMetrics, type Metrics } from "../src/server/metrics.ts";
import { durableAgent } from "./support/durable-agents.ts";
import { createMemoryCluster, type MemoryCluster } from "./support/memory-cluster.ts";
import { pod, service } from "./support/worlds.ts";

const issue = async (): Promise<{ pair: KeyPair; ca: string }> => {
  const state = await carryOutStep({}, { kind: "startOver" }, { now: new Date(), dnsNames: ["127.0.0.1"] });
  return { pair: state.serving ?? { certificate: "", key: "" }, ca: state.authority?.certificate ?? "" };
};

interface Answer {
  status: number;
  body: string;
}

describe("the webhook server", () => {
  let certificate: Awaited<ReturnType<typeof issue>>;
  const servers: AdmissionServer[] = [];
  beforeAll(async () => {
    certificate = await issue();
  });
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });

  async function start(): Promise<{
    cluster: MemoryCluster;
    metrics: Metrics;
    told: string[];
    ask: (path: string, body: string, ca?: string) => Promise<Answer>;
    load: (pair: KeyPair) => void;
  }> {
    const cluster = createMemoryCluster();
    const agent = durableAgent();
    await cluster.create(durableAgents, agent);
    const credentials: Secret = {
      metadata: { name: "durable-agent-researcher", namespace: "agents" },
      data: { "secret-key": "", "database-url": "" },
    };
    await cluster.create(secrets, credentials);
    const metrics = createMetrics({ queueDepths: () => ({}), agentsByReady: () => ({}) });
    const told: string[] = [];
    const listeners: ((pair: KeyPair) => void)[] = [];
    const server = await startAdmissionServer(
      {
        cluster,
        clusterId: "0123abcd",
        server: () => ({ major: 1, minor: 36 }),
        defaults: { image: "sidecar:1", requests: {} },
        events: { record: (about, { reason }) => told.push(`${about.kind} ${reason}`), flush: () => Promise.resolve() },
        certificates: {
          current: () => certificate.pair,
          onChange: (listener) => {
            listeners.push(listener);
            listener(certificate.pair);
          },
          stop: () => Promise.resolve(),
        },
        metrics,
        log: () => undefined,
      },
      { host: "127.0.0.1", port: 0 },
    );
    servers.push(server);
    const ask = (path: string, body: string, ca = certificate.ca): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const sent = request(
          { host: "127.0.0.1", port: server.port, path, method: "POST", ca, agent: false },
          (response) => {
            let text = "";
            response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
            response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
          },
        );
        sent.on("error", reject);
        sent.end(body);
      });
    const load = (pair: KeyPair): void => {
      for (const listener of listeners) listener(pair);
    };
    return { cluster, metrics, told, ask, load };
  }

  const review = (object: object, more: object = {}): string =>
    JSON.stringify({
      kind: "AdmissionReview",
      request: { uid: "u1", namespace: "agents", operation: "CREATE", object, ...more },
    });
  const bare = () => {
    const { spec, metadata } = pod("a", { labelled: true });
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "rs", uid: "rs1", controller: true };
    return { metadata: { ...metadata, ownerReferences: [owner] }, spec };
  };
  const responseOf = (answer: Answer) =>
    (
      JSON.parse(answer.body) as {
        response: { uid: string; allowed: boolean; patch?: string; warnings?: string[]; status?: { message: string } };
      }
    ).response;

  test("injects a labelled pod, and counts it", async () => {
    const { ask, metrics } = await start();
    const response = responseOf(await ask(webhookPaths.pods, review(bare())));
    expect(response).toMatchObject({ uid: "u1", allowed: true });
    const patch = JSON.parse(Buffer.from(response.patch ?? "", "base64").toString()) as { path: string }[];
    expect(patch.map(({ path }) => path)).toContain("/spec/initContainers");
    expect(await metrics.registry.metrics()).toContain(
      'admissions_total{webhook="pods",outcome="inject",reason="Injected"} 1',
    );
  });

  test("gives every pod a drain token of its own", async () => {
    const { ask } = await start();
    const answers = await Promise.all([1, 2].map(() => ask(`${webhookPaths.pods}?timeout=5s`, review(bare()))));
    const [one, other] = answers.map((answer) => responseOf(answer).patch);
    expect(one).not.toBe(other);
  });

  test("lets a pod start whose DurableAgent is gone, with a warning and an Event on its owner", async () => {
    const { ask, told } = await start();
    const orphan = bare();
    orphan.metadata.labels = { "durable-agent.dev/agent": "nobody" };
    const response = responseOf(await ask(webhookPaths.pods, review(orphan)));
    expect(response.allowed).toBe(true);
    expect(response.warnings?.[0]).toContain("does not exist");
    expect(told).toEqual(["ReplicaSet AgentGone"]);
  });

  test("lets a pod start whose label is empty, and asks for no DurableAgent without a name", async () => {
    const { ask, cluster, told } = await start();
    cluster.away = true;
    const nameless = bare();
    nameless.metadata.labels = { "durable-agent.dev/agent": "" };
    const response = responseOf(await ask(webhookPaths.pods, review(nameless)));
    expect(response).toMatchObject({ allowed: true, warnings: [expect.stringContaining("does not exist")] });
    expect(response.patch).toBeUndefined();
    expect(told).toEqual(["ReplicaSet AgentGone"]);
  });

  test("tells nobody about a dry run", async () => {
    const { ask, told } = await start();
    const orphan = bare();
    orphan.metadata.labels = { "durable-agent.dev/agent": "nobody" };
    await ask(webhookPaths.pods, review(orphan, { dryRun: true }));
    expect(told).toEqual([]);
  });

  test("refuses a pod whose agent cannot be told, with the reason", async () => {
    const { ask } = await start();
    const two = bare();
    two.spec = { containers: [{ name: "a" }, { name: "b" }] };
    const response = responseOf(await ask(webhookPaths.pods, review(two)));
    expect(response.allowed).toBe(false);
    expect(response.status?.message).toMatch(/^durable-agent: AmbiguousContainer: .*agent\.container/);
  });

  test("fails, and so keeps the pod from starting bare, when the API server cannot be asked", async () => {
    const { ask, cluster } = await start();
    cluster.away = true;
    expect((await ask(webhookPaths.pods, review(bare()))).status).toBe(500);
  });

  test("leads a Service back to the sidecar that somebody applied again", async () => {
    const { ask } = await start();
    const applied = service(8080, { routed: true });
    applied.spec.ports = [{ name: "web", port: 80, targetPort: 8080 }];
    const response = responseOf(await ask(webhookPaths.services, review(applied)));
    expect(JSON.parse(Buffer.from(response.patch ?? "", "base64").toString())).toEqual([
      { op: "replace", path: "/spec/ports/0/targetPort", value: "durable-a2a" },
    ]);
  });

  test.each([
    ["another path", "/", "{}", 404],
    ["text", webhookPaths.pods, "text", 400],
    ["a review without an object", webhookPaths.pods, '{"request":{"uid":"u"}}', 400],
    ["more than any review", webhookPaths.pods, "x".repeat(9 * 1024 * 1024), 413],
  ])("answers %s with %#", async (_title, path, body, status) => {
    const { ask } = await start();
    // A server that will not read on may close before everything was sent.
    const answer = await ask(path, body).catch(() => ({ status: 413 }));
    expect(answer.status).toBe(status);
  });

  test("serves another certificate from one handshake to the next, without a restart", async () => {
    const { ask, load } = await start();
    const next = await issue();
    await expect(ask(webhookPaths.pods, review(bare()), next.ca)).rejects.toThrow(/self-signed|verify/);
    load(next.pair);
    expect((await ask(webhookPaths.pods, review(bare()), next.ca)).status).toBe(200);
    await expect(ask(webhookPaths.pods, review(bare()))).rejects.toThrow(/self-signed|verify/);
  });
});
