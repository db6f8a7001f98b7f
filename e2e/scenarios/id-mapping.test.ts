/** Two replicas whose agents both count "task-1", "task-2" … are still one agent with one task per id. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import { taskAt } from "./support/outcome.ts";
import type { Json, ReceivedEvent } from "./support/rpc-client.ts";
import { content, gather, RpcClient, stateOf, summary, taskIdOf } from "./support/rpc-client.ts";
import type { Subject } from "./support/subject.ts";
import { RAW_03, RAW_1 } from "./support/subject.ts";

const COUNTED: { name: string; subject: Subject }[] = [RAW_1, RAW_03].map((subject) => ({
  name: subject.name,
  subject: { ...subject, flags: [...subject.flags, "--counted-ids"] },
}));

describe.for(COUNTED)("$name", ({ subject }) => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await startFleet(subject);
  });

  afterAll(() => fleet.stop());

  const stage = () => [0, 1].map((replica) => new RpcClient(fleet.url(replica), subject)) as [RpcClient, RpcClient];

  /** A task on each replica, with the same id at both agents. */
  async function twins(text: string): Promise<{ ids: [string, string]; agentId: string }> {
    const [one, two] = stage();
    const sent = [await one.send(text), await two.send(text)];
    const ids = sent.map((reply) => taskIdOf(reply.body.result)) as [string, string];
    const starts = await fleet.starts();
    const agentIds = [0, 1].map((replica) => starts.findLast((start) => start.replica === replica)?.taskId ?? "");
    expect(agentIds[0]).toBe(agentIds[1]);
    return { ids, agentId: agentIds[0] ?? "" };
  }

  test("P1: two tasks of one id are two tasks, each known everywhere under its public id", async () => {
    const [one, two] = stage();
    const { ids, agentId } = await twins("count 2 every 1ms");
    expect(ids[0]).toBe(agentId);
    expect(ids[1]).not.toBe(agentId);
    for (const [index, id] of ids.entries()) {
      const [here, there] = [await one.get(id), await two.get(id)];
      expect(here.text).toBe(there.text);
      expect(taskIdOf(here.body.result)).toBe(ids[index]);
    }
  });

  test("every event of a mapped task carries the public id, on its own stream and elsewhere", async () => {
    const [one, two] = stage();
    await one.send("hello");
    const events = await gather(two.stream("count 3 every 20ms"));
    const id = taskIdOf(events[0]?.body.result);
    const agentId = (await fleet.starts()).findLast((start) => start.replica === 1)?.taskId ?? "";
    expect(id).not.toBe(agentId);
    expect(events.map((event) => taskIdOf(event.body.result))).toEqual(events.map(() => id));
    expect(JSON.stringify(events)).not.toContain(`"${agentId}"`);
    const replayed = await gather(one.subscribe(id, { lastEventId: "0" }));
    expect(replayed.map(rawOf)).toEqual(events.map(rawOf));
  });

  test("P1: an answer to a mapped task reaches the agent under the agent's id, and comes back under the public one", async () => {
    const [one, two] = stage();
    const { ids, agentId } = await twins("ask");
    const [first, second] = await Promise.all([
      two.send("for the first", { taskId: ids[0] }),
      one.send("for the second", { taskId: ids[1] }),
    ]);
    expect(answerIn(first.body.result)).toBe("You said for the first");
    expect(answerIn(second.body.result)).toBe("You said for the second");
    expect([first, second].map((reply) => taskIdOf(reply.body.result))).toEqual(ids);
    const answers = (await fleet.starts()).filter((start) => start.text.startsWith("for the"));
    expect(answers.map((start) => [start.text, start.replica, start.taskId])).toEqual(
      expect.arrayContaining([
        ["for the first", 0, agentId],
        ["for the second", 1, agentId],
      ]),
    );
    for (const message of content(second.body.result).history) {
      if (message.taskId !== undefined) expect(message.taskId).toBe(ids[1]);
    }
  });

  test("P1: a cancel of a mapped task stops that task and not its twin", async () => {
    const [one, two] = stage();
    const streams = [one.stream("wait-cancel"), two.stream("wait-cancel")];
    const seen: ReceivedEvent[][] = [[], []];
    const reading = streams.map(async (stream, index) => {
      for await (const event of stream) seen[index]?.push(event);
    });
    await waitFor(() => seen.every((events) => events.some((event) => summary(event) === "status working")), {
      message: "both work",
    });
    const [first, second] = seen.map((events) => taskIdOf(events[0]?.body.result)) as [string, string];
    expect(first).not.toBe(second);
    expect(stateOf((await one.cancel(second)).body.result)).toBe("canceled");
    await reading[1];
    expect(stateOf((await two.get(first)).body.result)).toBe("working");
    expect((await fleet.cancels()).map((line) => line.replica)).toEqual([1]);
    expect(stateOf((await two.cancel(first)).body.result)).toBe("canceled");
    await reading[0];
    await taskAt(one, first, "canceled");
  });
});

function rawOf(event: ReceivedEvent): string | null {
  return event.rawResult;
}

function answerIn(result: Json): string {
  return content(result).artifacts?.[0]?.parts[0]?.text ?? "";
}
