import { afterAll, beforeAll, expect, it } from "vitest";
import { productImageNames } from "../images/product.ts";
import { isInjected } from "./support/agent-under-test.ts";
import { clusterAccess, kubectl, requireCluster } from "./support/cluster-access.ts";
import { converse } from "./support/conversation.ts";
import { documentedCommands, imagesBuiltBy, runDocumented } from "./support/documented-commands.ts";
import { installOperator, uninstallOperator } from "./support/installation.ts";
import { countedTo } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";

const install = documentedCommands("README.md", "install");
const firstAgent = documentedCommands("README.md", "first agent");
const completed = { problems: [], state: "TASK_STATE_COMPLETED", text: countedTo(5) };

/** What the documents' examples are about. */
const researcher = { name: "researcher", namespace: "agents" } as const;

describeAgent("nothing is installed, and a user reads the documents", researcher, (agent) => {
  const podIds = async (): Promise<readonly string[]> => (await agent().pods()).map(({ metadata }) => metadata.uid);

  beforeAll(async () => {
    if (clusterAccess === undefined) return;
    await uninstallOperator(requireCluster());
    await kubectl(["delete", "crd", "durableagents.durable-agent.dev", "--timeout=60s"]);
  });
  afterAll(async () => {
    if (clusterAccess !== undefined) await installOperator(requireCluster());
  });

  it("K20: three commands install it, two protect the first agent", async () => {
    expect(imagesBuiltBy(install).toSorted()).toEqual(Object.values(productImageNames).toSorted());
    await runDocumented(install);
    await runDocumented(firstAgent);
    expect((await agent().pods()).map(isInjected)).toEqual([true, true]);
    // Generations are the sidecar's: the agent alone gives none, and the conversation would complain.
    expect(await converse("count 5", agent().endpoint)).toMatchObject(completed);
  });

  it("K20: one command upgrades it, and restarts no workload", async () => {
    const before = await podIds();
    await runDocumented(documentedCommands("charts/durable-agent/README.md", "upgrade"));
    expect((await podIds()).toSorted()).toEqual(before.toSorted());
  });

  it("K20: one command takes the agent back, and one removes the rest", async () => {
    await runDocumented(documentedCommands("operator/README.md", "back out"));
    expect((await agent().pods()).map(isInjected)).toEqual([false, false]);
    await runDocumented(documentedCommands("charts/durable-agent/README.md", "removal"));
    const left = ["deployment,job,mutatingwebhookconfiguration,clusterrole,clusterrolebinding", "-o", "name"];
    const ours = ["-l", "app.kubernetes.io/name=durable-agent", "--all-namespaces"];
    expect(await kubectl(["get", ...left, ...ours])).toBe("");
  });

  it("K21: with dev.enabled the chart brings a database and a NATS server, and an agent is protected with them", async () => {
    const images = [
      "--set dev.enabled=true",
      "--set dev.postgresImage=localhost/fixture-postgres:test --set dev.natsImage=localhost/fixture-nats:test",
    ].join(" ");
    const stores = "--set postgres.url=$POSTGRES_URL --set nats.url=$NATS_URL";
    expect(install).toContain(stores);
    await runDocumented(install.replace(stores, images));
    await runDocumented(firstAgent);
    const relay = ["wait", "--for=condition=RelayReady", `durableagent/${agent().name}`, "--timeout=60s"];
    await agent().kubectl(...relay);
    expect(await converse("count 5", agent().endpoint)).toMatchObject(completed);
    await uninstallOperator(requireCluster());
    expect((await agent().pods()).map(isInjected)).toEqual([false, false]);
  });
});
