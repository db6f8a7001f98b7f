/** The admin port: probes and metrics. */
import { afterEach, describe, expect, test } from "vitest";
import { createMetrics, type Metrics, type MetricsSources } from "../../src/server/metrics.ts";
import { buildAdmin, type Readiness } from "../../src/server/probes.ts";
import type { FastifyInstance } from "fastify";

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const apps: FastifyInstance[] = [];
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

function adminOf(
  readiness: Readiness,
  metrics: Metrics = createMetrics({ monotonicMs: () => 0 }),
  drain: { token: string | null; asked: string[] } = { token: null, asked: [] },
): FastifyInstance {
  const ask = (path: string) => () => Promise.resolve(void drain.asked.push(path));
  const doors = { drainToken: drain.token, drain: ask("drain"), preStop: ask("prestop") };
  const app = buildAdmin({ readiness: () => readiness, metrics, log, ...doors });
  apps.push(app);
  return app;
}

const ready: Readiness = { schemaCompatible: true, agentAnswered: true, registered: true, draining: false };

describe("probes", () => {
  test("listening is living", async () => {
    const app = adminOf({ schemaCompatible: false, agentAnswered: false, registered: false, draining: true });
    expect((await app.inject("/livez")).statusCode).toBe(200);
  });

  test.each<[string, Readiness, number, string[]]>([
    ["everything in place", ready, 200, []],
    ["an unknown schema", { ...ready, schemaCompatible: false }, 503, ["a compatible database schema"]],
    ["an agent that never answered", { ...ready, agentAnswered: false }, 503, ["the agent's first answer"]],
    ["no lease yet", { ...ready, registered: false }, 503, ["the first lease in the database"]],
    ["draining", { ...ready, draining: true }, 503, ["the end of draining"]],
  ])("readiness with %s", async (_name, readiness, status, waitingFor) => {
    const response = await adminOf(readiness).inject("/readyz");
    expect([response.statusCode, response.json()]).toEqual([status, { ready: status === 200, waitingFor }]);
  });
});

describe("drain", () => {
  const stranger = { remoteAddress: "10.1.2.3" };

  test("P8: without a token only this machine may ask", async () => {
    const drain = { token: null, asked: [] as string[] };
    const app = adminOf(ready, undefined, drain);
    expect((await app.inject({ method: "POST", url: "/drain", ...stranger })).statusCode).toBe(403);
    expect((await app.inject({ method: "POST", url: "/drain" })).statusCode).toBe(200);
    expect(drain.asked).toEqual(["drain"]);
  });

  test("P8: with a token whoever shows it may ask, and nobody else", async () => {
    const drain = { token: "s3cret", asked: [] as string[] };
    const app = adminOf(ready, undefined, drain);
    expect((await app.inject({ url: "/prestop" })).statusCode).toBe(403);
    expect((await app.inject({ url: "/prestop", headers: { "x-drain-token": "s3creT" } })).statusCode).toBe(403);
    expect(
      (await app.inject({ url: "/prestop", headers: { "x-drain-token": "s3cret" }, ...stranger })).statusCode,
    ).toBe(200);
    expect(drain.asked).toEqual(["prestop"]);
  });
});

describe("metrics", () => {
  async function scrape(metrics: Metrics): Promise<string> {
    return (await adminOf(ready, metrics).inject("/metrics")).body;
  }

  test("I9: a method that is not A2A's is counted as other", async () => {
    const metrics = createMetrics({ monotonicMs: () => 0 });
    metrics.call("SendMessage", "ok", 0.02);
    metrics.call("tasks/get", "rpc-error", 0.02);
    metrics.call("x/anything-a-client-likes", "pass-through", 0.02);
    metrics.call(null, "pass-through", 0.02);
    const text = await scrape(metrics);
    expect(text).toContain('durable_agent_call_duration_seconds_count{method="SendMessage",outcome="ok"} 1');
    expect(text).toContain('durable_agent_call_duration_seconds_count{method="tasks/get",outcome="rpc-error"} 1');
    expect(text).toContain('durable_agent_call_duration_seconds_count{method="other",outcome="pass-through"} 2');
    expect(text).not.toContain("anything");
  });

  test("what was counted and what is asked for at the scrape is there, next to Node's own", async () => {
    const metrics = createMetrics({ monotonicMs: () => 0, subscribers: () => 7, relayConnected: () => false });
    metrics.eventsRecorded(3);
    metrics.turnEnded("fenced");
    metrics.commit(0.003, 12);
    metrics.gapFilled();
    metrics.grpcInterfaces(1);
    const text = await scrape(metrics);
    for (const line of [
      "durable_agent_events_recorded_total 3",
      'durable_agent_turns_ended_total{outcome="fenced"} 1',
      "durable_agent_commit_duration_seconds_count 1",
      'durable_agent_commit_writes_bucket{le="16"} 1',
      "durable_agent_gaps_filled_total 1",
      "durable_agent_card_grpc_interfaces 1",
      "durable_agent_subscribers 7",
      "durable_agent_relay_connected 0",
    ]) {
      expect(text).toContain(`\n${line}\n`);
    }
    expect(text).toContain("process_resident_memory_bytes");
    expect(text).toContain("nodejs_eventloop_lag_seconds");
  });

  test("the record is asked for its counts at most every 15 s, and a failure leaves the last ones", async () => {
    let now = 0;
    let asked = 0;
    const countTasks: NonNullable<MetricsSources["countTasks"]> = () => {
      asked += 1;
      return asked === 2
        ? Promise.reject(new Error("away"))
        : Promise.resolve([{ state: "working", count: asked * 10 }]);
    };
    const metrics = createMetrics({ monotonicMs: () => now, countTasks });
    const counts: (string | undefined)[] = [];
    for (now of [0, 14_000, 16_000, 32_000])
      counts.push(/durable_agent_tasks\{state="working"\} (\d+)/.exec(await scrape(metrics))?.[1]);
    expect([counts, asked]).toEqual([["10", "10", "10", "30"], 3]);
  });
});
