import { expect, it } from "vitest";
import { isInjected, type Pod } from "./support/agent-under-test.ts";
import { apply, getObject } from "./support/cluster-access.ts";
import { converse } from "./support/conversation.ts";
import { countedTo } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";

const restricted = { "pod-security.kubernetes.io/enforce": "restricted" };

describeAgent("the namespace is restricted", { namespaceLabels: restricted, isProtected: true }, (agent) => {
  it("K12: the injected pods are admitted and work", async () => {
    expect((await agent().pods()).every(isInjected)).toBe(true);
    const outcome = await converse("count 5", agent().endpoint);
    expect(outcome).toMatchObject({ problems: [], state: "TASK_STATE_COMPLETED", text: countedTo(5) });
  });

  it("K13: a pod of the agent that completes is not kept running by its sidecar", async () => {
    const { namespace, name } = agent();
    const securityContext = {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    };
    const work = {
      name: "agent",
      image: "localhost/fixture-agent:test",
      command: ["sleep", "2"],
      ports: [{ name: "a2a", containerPort: 8080 }],
      securityContext,
    };
    const metadata = { name: "once", namespace, labels: { "durable-agent.dev/agent": name } };
    const spec = { restartPolicy: "Never", containers: [work] };
    await apply(JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata, spec }));
    expect(isInjected(await getObject<Pod>("pod", "once", "-n", namespace))).toBe(true);
    const wait = ["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/once", "--timeout=120s"];
    await expect(agent().kubectl(...wait)).resolves.toContain("condition met");
  });
});
