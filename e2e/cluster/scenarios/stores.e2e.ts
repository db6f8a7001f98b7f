import { expect, it } from "vitest";
import { kubectl } from "./support/cluster-access.ts";
import { startLoad } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";
import { systemNamespace } from "./support/stores.ts";

async function restart(store: "postgres" | "nats"): Promise<void> {
  await kubectl(["delete", "pod", `${store}-0`, "-n", systemNamespace]);
  await kubectl(["rollout", "status", `statefulset/${store}`, "-n", systemNamespace, "--timeout=90s"]);
}

describeAgent("a store is away for a while", { isProtected: true }, (agent) => {
  it("K6: NATS is restarted under load and nobody notices", async () => {
    const load = startLoad(agent().endpoint, { callsPerSecond: 20 });
    await restart("nats");
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.streams).toBeGreaterThan(5);
  });

  it("K6: Postgres is restarted under load: streams wait and complete, and no turn is run twice", async () => {
    const load = startLoad(agent().endpoint, { callsPerSecond: 0 });
    await restart("postgres");
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    const executions = await agent().executions(await agent().pods());
    const started = report.messageIds.map((id) => executions.filter((entry) => entry.messageId === id).length);
    expect(started).toEqual(report.messageIds.map(() => 1));
  });
});
