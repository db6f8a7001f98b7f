/** Messages whose row a crash of the server took while their agent was at work: its insert had not been flushed. */
import { afterEach, describe, expect, test } from "vitest";
import type { AgentExchange } from "../../src/ports/agent.ts";
import {
  bodyOf,
  eventsOf,
  FlowCluster,
  type FlowInstance,
  fastClock,
  sendOf,
  startInstance,
} from "../support/flow-instance.ts";
import { brokenExchange, errorOf, resultOf, ScriptedAgent, taskOf } from "../support/scripted-agent.ts";
import { waitFor, within } from "../support/wait.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

/** A send that joins one whose instance and row are gone: nobody is left who could put it back. */
async function joinLost(method: "SendMessage" | "SendStreamingMessage", { late = false } = {}) {
  const cluster = new FlowCluster(fastClock(5));
  const agent = new ScriptedAgent().on(method, () => new Promise(() => {}));
  const former = await startInstance(cluster, agent);
  const send = sendOf();
  void former.call(method, send);
  await waitFor(() => agent.got(method).length > 0, { message: "the agent has no message" });
  instance = await startInstance(cluster, new ScriptedAgent());
  const joined = instance.call(method, send);
  await waitFor(() => instance.context.board.size > 0, { message: "nobody waits for the turn" });
  await former.stop();
  // A stream shows its headers after a while.
  if (late) await joined;
  cluster.store.crash();
  return { answer: await within(joined, 10_000, "the caller waits on") };
}

/** A message that is at the agent when the server crashes; the agent answers after that. */
async function sendThroughCrash(answers: AgentExchange[]) {
  const cluster = new FlowCluster();
  const crashed = Promise.withResolvers<void>();
  const agent = new ScriptedAgent().on("SendMessage", async () => {
    await crashed.promise;
    return answers.shift() ?? errorOf(-32603);
  });
  instance = await startInstance(cluster, agent);
  const answer = instance.call("SendMessage", sendOf());
  await waitFor(() => agent.got("SendMessage").length > 0, { message: "the agent has no message" });
  cluster.store.crash();
  crashed.resolve();
  return { cluster, agent, answer: bodyOf(await within(answer, 10_000, "the caller waits on")) };
}

describe("a message whose row a crash of the store took", () => {
  test("P4: that the agent answers with a bare Message brings its sender that Message", async () => {
    const message = { messageId: "M", role: "ROLE_AGENT", parts: [{ text: "done" }] };
    const { cluster, answer } = await sendThroughCrash([resultOf({ message })]);
    expect(answer.result).toEqual({ message });
    expect(cluster.store.turns).toMatchObject([{ state: "done", reply: { kind: "message" } }]);
  });

  test("P4: that the agent refuses brings its sender the refusal", async () => {
    const { cluster, answer } = await sendThroughCrash([errorOf(-32602)]);
    expect(answer.error).toMatchObject({ code: -32602 });
    expect(cluster.store.turns).toMatchObject([{ state: "failed", reply: { kind: "error" } }]);
  });

  test("P4: is started again when its run breaks off", async () => {
    const { agent, answer } = await sendThroughCrash([brokenExchange, resultOf({ task: taskOf("T", "COMPLETED") })]);
    expect(answer.result).toMatchObject({ task: { id: "T" } });
    expect(agent.got("SendMessage")).toHaveLength(2);
  });

  test("P4: is put back by the instance that runs it, although nothing told it of the crash", async () => {
    const cluster = new FlowCluster();
    const agent = new ScriptedAgent().on("SendMessage", () => new Promise(() => {}));
    instance = await startInstance(cluster, agent);
    void instance.call("SendMessage", sendOf());
    await waitFor(() => agent.got("SendMessage").length > 0, { message: "the agent has no message" });
    cluster.store.crash();
    await waitFor(() => cluster.store.turns.length > 0, { message: "nobody puts the message back" });
    expect(cluster.store.turns).toMatchObject([{ state: "dispatched", epoch: 1 }]);
  });

  test.each(["SendMessage", "SendStreamingMessage"] as const)(
    "P4: and that nobody puts back is refused as retryable to whoever waits for it: %s",
    async (method) => {
      const { answer } = await joinLost(method);
      const headers = { "retry-after": "1" };
      const body = expect.stringContaining("The message was lost");
      expect(answer).toMatchObject({ kind: "json", status: 503, headers, body });
      expect(instance.context.board.size).toBe(0);
    },
  );

  test("P4: ends a stream that has begun with the refusal", async () => {
    const { answer } = await joinLost("SendStreamingMessage", { late: true });
    expect((await eventsOf(answer)).map(({ data }) => data)).toMatchObject([{ error: { code: -32603 } }]);
  });
});
