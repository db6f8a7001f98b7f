// The frame of a scenario: an agent in a namespace of its own, and what is kept of it when a test fails.

import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { type AgentOptions, type AgentUnderTest, startAgent } from "./agent-under-test.ts";
import { clusterAccess } from "./cluster-access.ts";
import { keepDiagnostics } from "./diagnostics.ts";

/** How the scenario's agent starts. */
export type ScenarioOptions = AgentOptions & {
  /** Whether it has a DurableAgent before the first test; with this spec where one is given. */
  readonly isProtected?: boolean | Readonly<Record<string, unknown>>;
};

/** Declares tests around one agent. Without a cluster they count as skipped. */
export function describeAgent(
  title: string,
  options: ScenarioOptions,
  declareTests: (agent: () => AgentUnderTest) => void,
): void {
  const { isProtected = false, ...agentOptions } = options;
  // oxlint-disable-next-line vitest/valid-title -- the caller gives a string
  describe.skipIf(clusterAccess === undefined)(title, () => {
    let agent: AgentUnderTest | undefined;
    beforeAll(async () => {
      agent = await startAgent(agentOptions);
      if (isProtected !== false) await agent.protect(isProtected === true ? {} : isProtected);
    });
    afterEach(async ({ task }) => {
      if (task.result?.state === "fail" && agent !== undefined) await keepDiagnostics(task.name, agent.namespace);
    });
    afterAll(async () => {
      await agent?.remove();
    });
    declareTests(() => {
      if (agent === undefined) throw new Error("the agent is started by the first hook");
      return agent;
    });
  });
}
