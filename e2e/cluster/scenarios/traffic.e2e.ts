import { afterAll, beforeAll, expect, it } from "vitest";
import { waitUntil } from "../node/wait.ts";
import { isInjected, rpcPath } from "./support/agent-under-test.ts";
import { clusterAccess, openPodProxy, type PodProxy } from "./support/cluster-access.ts";
import { converse } from "./support/conversation.ts";
import { countedTo, startLoad } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";

const completed = { problems: [], state: "TASK_STATE_COMPLETED", text: countedTo(5) };

describeAgent("an annotation is enough", {}, (agent) => {
  it("K9: the operator makes the DurableAgent, and takes it away when the annotation goes", async () => {
    await agent().kubectl("annotate", agent().resource, "durable-agent.dev/inject=true");
    await waitUntil("a DurableAgent of the same name", async () => {
      return (await agent().kubectl("get", "durableagent", agent().name, "-o", "name")) !== "";
    });
    await agent().waitUntilProtected();
    expect((await agent().pods()).every(isInjected)).toBe(true);
    expect(await converse("count 5", agent().endpoint)).toMatchObject(completed);
    await agent().kubectl("annotate", agent().resource, "durable-agent.dev/inject-");
    await waitUntil("pods without a sidecar", async () => !(await agent().pods()).some(isInjected), {
      deadlineMs: 120_000,
    });
  });
});

describeAgent("a Service names the port by its number", { targetPort: "number", obeysSignals: false }, (agent) => {
  const targetPort = async (): Promise<string> =>
    await agent().kubectl("get", "service", agent().name, "-o", "jsonpath={.spec.ports[0].targetPort}");

  it("K10: the Service is led to the sidecar's port and back, and no request fails, also when it is undone", async () => {
    const load = startLoad(agent().endpoint, { isMixed: true, longCallMs: 8_000 });
    await agent().protect();
    expect(await targetPort()).toBe("durable-a2a");
    expect(await converse("count 5", agent().endpoint)).toMatchObject(completed);
    await agent().undoRollout();
    expect(await targetPort()).toBe("durable-a2a");
    await agent().kubectl("delete", "durableagent", agent().name, "--timeout=120s");
    await waitUntil("pods without a sidecar", async () => !(await agent().pods()).some(isInjected), {
      deadlineMs: 120_000,
    });
    await agent().waitForRollout();
    expect(await targetPort()).toBe("8080");
    expect((await load.stop()).failures).toEqual([]);
  });
});

const portEnv = { agent: { portEnv: "PORT" }, traffic: { mode: "PortEnv" } };

describeAgent("the Service is headless", { kind: "StatefulSet", isHeadless: true, isProtected: portEnv }, (agent) => {
  let proxy: PodProxy;
  beforeAll(async () => {
    if (clusterAccess !== undefined) proxy = await openPodProxy();
  });
  afterAll(() => proxy?.close());

  it("K10: the sidecar has the agent's port number, and the agent another one", async () => {
    const pods = await agent().pods();
    expect(pods.map((pod) => pod.metadata.name).toSorted()).toEqual(["counter-0", "counter-1"]);
    for (const pod of pods) {
      const endpoint = `${proxy.urlOf(agent().namespace, pod.metadata.name, 8080)}${rpcPath}`;
      // Generations are the sidecar's; the agent alone gives none, and the conversation would complain.
      expect(await converse("count 5", endpoint)).toMatchObject(completed);
    }
  });
});
