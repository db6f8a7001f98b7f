import { afterAll, beforeAll, expect, it } from "vitest";
import { waitUntil } from "../node/wait.ts";
import { rpcPath, sidecarPort } from "./support/agent-under-test.ts";
import { clusterAccess, openPodProxy, type PodProxy } from "./support/cluster-access.ts";
import { call, converse, follow, send } from "./support/conversation.ts";
import { countedTo } from "./support/load.ts";
import { describeAgent } from "./support/scenario.ts";

interface Task {
  readonly id: string;
  readonly status: { readonly state: string };
}

interface TaskList {
  readonly tasks: readonly Task[];
}

describeAgent("two pods are one agent", { isProtected: true }, (agent) => {
  let proxy: PodProxy;
  beforeAll(async () => {
    if (clusterAccess !== undefined) proxy = await openPodProxy();
  });
  afterAll(() => proxy?.close());

  /** URLs of both pods' sidecars. */
  const endpoints = async (): Promise<readonly [string, string]> => {
    const [one, two] = await agent().pods();
    if (one === undefined || two === undefined) throw new Error("two pods are expected");
    const urlOf = (pod: string): string => `${proxy.urlOf(agent().namespace, pod, sidecarPort)}${rpcPath}`;
    return [urlOf(one.metadata.name), urlOf(two.metadata.name)];
  };

  /** The id of the only task that is at work. */
  const findWorking = async (endpoint: string): Promise<string> => {
    let id = "";
    await waitUntil("a task at work", async () => {
      const answer = await call<TaskList>(endpoint, "ListTasks", { status: "TASK_STATE_WORKING" });
      const tasks = answer.kind === "result" ? answer.result.tasks : [];
      id = tasks[0]?.id ?? "";
      return tasks.length === 1;
    });
    return id;
  };

  it("K2: a task of one pod is listed, read and followed through the other", async () => {
    const [one, two] = await endpoints();
    const running = converse("count 60 every 50ms", one);
    const taskId = await findWorking(two);
    const read = await call<Task>(two, "GetTask", { id: taskId });
    expect(read).toMatchObject({ kind: "result", result: { id: taskId, status: { state: "TASK_STATE_WORKING" } } });
    const followed = await follow(taskId, two);
    const outcome = await running;
    expect(outcome).toMatchObject({ taskId, problems: [], state: "TASK_STATE_COMPLETED", text: countedTo(60) });
    expect(followed).toMatchObject({ problems: [], state: "TASK_STATE_COMPLETED", text: countedTo(60) });
    expect(followed.generations.at(-1)).toBe(outcome.generations.at(-1));
  });

  it("K2: a cancel through the other pod reaches the agent that works", async () => {
    const [one, two] = await endpoints();
    const running = converse("wait-cancel", one);
    const taskId = await findWorking(two);
    const canceled = await call<Task>(two, "CancelTask", { id: taskId });
    expect(canceled).toMatchObject({ kind: "result", result: { status: { state: "TASK_STATE_CANCELED" } } });
    expect(await running).toMatchObject({ problems: [], state: "TASK_STATE_CANCELED" });
    const pods = await agent().pods();
    expect((await agent().cancellations(pods)).map((entry) => entry.taskId)).toContain(taskId);
  });

  it("K2: a question asked through one pod is answered through the other", async () => {
    const [one, two] = await endpoints();
    const asked = await send<{ readonly task: Task }>(one, "ask");
    if (asked.kind === "failed") throw new Error(asked.why);
    const { id } = asked.result.task;
    const message = { messageId: "the-answer", role: "ROLE_USER", taskId: id, parts: [{ text: "green" }] };
    const answered = await call<{ readonly task: Task }>(two, "SendMessage", { message });
    expect(answered).toMatchObject({
      kind: "result",
      result: { task: { id, status: { state: "TASK_STATE_COMPLETED" } } },
    });
  });
});
