import { expect, test } from "vitest";
import { durableAgent } from "../../test/support/durable-agents.ts";
import { createMemoryCluster } from "../../test/support/memory-cluster.ts";
import { startStoreWatch } from "./store-watch.ts";

test("a DurableAgent without its Secret was asked all the same, until its spec changes", async () => {
  const agents = [durableAgent({ spec: { store: { secretRef: { name: "absent" } } } })];
  const news: string[] = [];
  const watch = startStoreWatch({
    cluster: createMemoryCluster(),
    agents: () => agents,
    agentKey: ({ metadata }) => metadata.name,
    credentials: () => ({ databaseUrl: undefined, natsUrl: undefined }) as never,
    storeProbe: { inspect: () => Promise.reject(new Error("no database is named")), close: () => Promise.resolve() },
    relayProbe: () => Promise.resolve({ kind: "ready" }),
    everyMs: 60_000,
    onNews: ({ metadata }) => news.push(metadata.name),
    onFault: () => undefined,
  });
  const [agent = durableAgent()] = agents;
  expect(watch.wasAsked(agent)).toBe(false);
  watch.refresh();
  await expect.poll(() => news).toEqual([agent.metadata.name]);
  expect(watch.findings(agent).store).toBeUndefined();
  expect(watch.wasAsked(agent)).toBe(true);
  expect(watch.wasAsked(durableAgent({ metadata: { ...agent.metadata, generation: 2 } }))).toBe(false);
  await watch.stop();
});
