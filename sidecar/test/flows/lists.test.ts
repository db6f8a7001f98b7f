import { afterEach, expect, test } from "vitest";
import { bodyOf, FlowCluster, type FlowInstance, sendOf, startInstance } from "../support/flow-instance.ts";
import { resultOf, ScriptedAgent, taskOf } from "../support/scripted-agent.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

test("a list of tasks without a status timestamp is paged to its end", async () => {
  let count = 0;
  const agent = new ScriptedAgent().on("SendMessage", () => resultOf({ task: taskOf(`T${++count}`, "COMPLETED") }));
  instance = await startInstance(new FlowCluster(), agent);
  for (let sent = 0; sent < 3; sent++) await instance.call("SendMessage", sendOf());
  const ids: string[] = [];
  let pageToken = "";
  do {
    const { result } = bodyOf(await instance.call("ListTasks", { pageSize: 1, pageToken }));
    const page = result as unknown as { tasks: { id: string }[]; nextPageToken: string };
    ids.push(...page.tasks.map((task) => task.id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && ids.length < 9);
  expect(ids).toEqual(["T1", "T2", "T3"]);
});
