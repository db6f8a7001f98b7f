/** P7: sends that come again, after an answer, an outage or a part of the stream. */
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { StoreError } from "../../src/ports/task-store.ts";
import { bodyOf, eventsOf, FlowCluster, type FlowInstance, sendOf, startInstance } from "../support/flow-instance.ts";
import {
  artifactOf,
  errorOf,
  resultOf,
  ScriptedAgent,
  ScriptedStream,
  statusOf,
  taskOf,
} from "../support/scripted-agent.ts";

let instance: FlowInstance;

afterEach(() => instance.stop());

describe("a send that comes again", () => {
  test("P7: gets the first one's answer also after it has ended the task", async () => {
    const agent = new ScriptedAgent()
      .on("SendMessage", () => resultOf({ task: taskOf("T", "INPUT_REQUIRED") }))
      .on("SubscribeToTask", () => errorOf(-32001));
    instance = await startInstance(new FlowCluster(), agent);
    await instance.call("SendMessage", sendOf());
    agent.on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }));
    const followUp = sendOf({ taskId: "T", messageId: randomUUID() });
    const first = bodyOf(await instance.call("SendMessage", followUp));
    expect(first.result).toMatchObject({ task: { status: { state: "TASK_STATE_COMPLETED" } } });
    expect(bodyOf(await instance.call("SendMessage", followUp))).toEqual(first);
    expect(agent.got("SendMessage")).toHaveLength(2);
    const other = bodyOf(await instance.call("SendMessage", sendOf({ taskId: "T" })));
    expect(other.error).toMatchObject({ code: -32004 });
  });

  test.each([
    ["from its beginning without an id", undefined, ["1", "2", "3"]],
    ["behind the event it had last", "2", ["3"]],
    ["not at all when it had all", "3", []],
    ["from its beginning when the id is beyond the record", "9", ["1", "2", "3"]],
  ])("P3: a joined stream is shown %s", async (_, cursor, expected) => {
    const stream = new ScriptedStream()
      .send({ task: taskOf("T", "WORKING") }, artifactOf("T", "A", "x"), statusOf("T", "COMPLETED"))
      .end();
    instance = await startInstance(
      new FlowCluster(),
      new ScriptedAgent().on("SendStreamingMessage", () => stream.exchange),
    );
    const send = sendOf();
    await eventsOf(await instance.call("SendStreamingMessage", send));
    const headers = cursor === undefined ? {} : { "last-event-id": cursor };
    const again = await eventsOf(await instance.call("SendStreamingMessage", send, { headers }));
    expect(again.map((event) => event.id)).toEqual(expected);
  });

  test("P7: after an outage that hid the journal's answer is not left waiting for a run nobody makes", async () => {
    const cluster = new FlowCluster();
    const journal = cluster.store.journal.bind(cluster.store);
    let down = true;
    cluster.store.journal = async (turn) => {
      const outcome = await journal(turn);
      if (down) throw new StoreError("unknown-outcome", "scripted");
      return outcome;
    };
    const agent = new ScriptedAgent().on("SendMessage", () => resultOf({ task: taskOf("T", "COMPLETED") }));
    instance = await startInstance(cluster, agent);
    const send = sendOf();
    expect(await instance.call("SendMessage", send)).toMatchObject({ status: 503 });
    down = false;
    const answer = bodyOf(await instance.call("SendMessage", send));
    expect(answer.result).toMatchObject({ task: { id: "T" } });
    expect(agent.got("SendMessage")).toHaveLength(1);
  });
});
