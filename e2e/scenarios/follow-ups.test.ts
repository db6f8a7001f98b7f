/** A conversation goes on through any replica: answers, queued messages, pauses for a credential, cancels. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import { normalForm } from "./support/normal-form.ts";
import { taskAt } from "./support/outcome.ts";
import type { Json, ReceivedEvent } from "./support/rpc-client.ts";
import { collect, content, contextIdOf, gather, RpcClient, stateOf, summary, taskIdOf } from "./support/rpc-client.ts";
import type { Subject } from "./support/subject.ts";
import { JS_03, JS_1, JS_1_COMPAT } from "./support/subject.ts";

const SUBJECTS: { name: string; subject: Subject }[] = [JS_1, JS_1_COMPAT, JS_03].map((subject) => ({
  name: subject.name,
  subject,
}));

const fleets = new Map<string, Fleet>();

beforeAll(async () => {
  await Promise.all(
    [JS_1, JS_03].map(async ({ agent, flags }) => fleets.set(agent, await startFleet({ agent, flags, replicas: 3 }))),
  );
});

afterAll(async () => {
  await Promise.all([...fleets.values()].map((fleet) => fleet.stop()));
});

function stageFor(subject: Subject) {
  const fleet = fleets.get(subject.agent)!;
  const at = (replica: number) => new RpcClient(fleet.url(replica), subject);
  return { fleet, direct: new RpcClient(fleet.agentUrl(0), subject), one: at(0), two: at(1), three: at(2) };
}

/** Where the task lives. */
function placeOf(result: Json): { taskId: string; contextId: string } {
  return { taskId: taskIdOf(result), contextId: contextIdOf(result) };
}

function texts(task: Json): string[] {
  const messages: Json[] = content(task).history ?? [];
  return messages.map((message) => message.parts.map((part: Json) => part.text).join(""));
}

describe.for(SUBJECTS)("$name", { concurrent: true }, ({ subject }) => {
  test("P1, P10: the answer to a question may go to any replica, and the reply is the agent's own", async () => {
    const { direct, one, two, three } = stageFor(subject);
    const asked = [await direct.send("ask"), await one.send("ask")].map((reply) => placeOf(reply.body.result));
    const own = await direct.send("blue", asked[0]);
    const reply = await two.send("blue", asked[1]);
    expect(normalForm(reply.body)).toEqual(normalForm(own.body));
    expect(stateOf(reply.body.result)).toBe("completed");
    const after = await three.get(asked[1]!.taskId, 100);
    expect(after.body.result).toEqual(content(reply.body.result));
  });

  test("P1, P3: the answer streamed through another replica brings the turn's events, and a watcher on a third sees them", async () => {
    const { one, two, three } = stageFor(subject);
    const place = placeOf((await one.send("ask")).body.result);
    const leave = new AbortController();
    const watching = watch(three.subscribe(place.taskId, { signal: leave.signal }));
    await waitFor(() => watching.events.length > 0, { message: "the watcher has its Task" });
    const answered = await gather(two.stream("green", place));
    expect(answered.map(summary)).toEqual(["status working", "artifact", "status completed"]);
    await watching.done;
    expect(watching.events.map(summary)).toEqual(["task input-required", ...answered.map(summary)]);
    expect(watching.events.slice(1).map(withoutFrame)).toEqual(answered.map(withoutFrame));
    expect(watching.events.map((event) => Number(event.id))).toEqual(consecutiveFrom(watching.events[0]));
  });

  test("P1: questions one after the other are answered through one replica after the other", async () => {
    const { one, two, three } = stageFor(subject);
    const place = placeOf((await one.send("ask 3")).body.result);
    const replies = [await two.send("red", place), await three.send("blue", place), await two.send("grey", place)];
    expect(replies.map((reply) => stateOf(reply.body.result))).toEqual([
      "input-required",
      "input-required",
      "completed",
    ]);
    const { body } = await one.get(place.taskId, 100);
    expect(texts(body.result).filter((text) => ["ask 3", "red", "blue", "grey"].includes(text))).toEqual([
      "ask 3",
      "red",
      "blue",
      "grey",
    ]);
  });

  test("a task's stream closes at the question, in 0.3 with `final`; one opened at the question stays", async () => {
    const { one, two, three } = stageFor(subject);
    const asked = await gather(one.stream("ask"));
    expect(asked.map(summary)).toEqual(["task submitted", "status working", "status input-required"]);
    if (subject.dialect === "0.3") {
      expect(asked.slice(1).map((event) => event.body.result.final)).toEqual([false, true]);
    }
    const place = placeOf(asked[0]!.body.result);
    const watching = watch(two.subscribe(place.taskId));
    await waitFor(() => watching.events.length > 0, { message: "the subscription has its Task" });
    await three.send("white", place);
    await watching.done;
    expect(watching.events.map(summary).at(-1)).toBe("status completed");
  });

  test("two messages at once: both are answered, in one history, one after the other (I5)", async () => {
    const { one, two, three } = stageFor(subject);
    const place = placeOf((await one.send("ask 2")).body.result);
    const both = await Promise.all([two.send("first", place), three.send("second", place)]);
    expect(new Set(both.map((reply) => stateOf(reply.body.result)))).toEqual(new Set(["input-required", "completed"]));
    const task = await taskAt(one, place.taskId, "completed");
    const history = texts(task);
    expect(history.filter((text) => text === "first" || text === "second")).toHaveLength(2);
    // The executor took them in the order of the record.
    const [earlier, later] = history.filter((text) => text === "first" || text === "second");
    expect(history.filter((text) => text.startsWith("got "))).toEqual([`got ${earlier}`, `got ${later}`]);
    expect(content(task).artifacts[0].parts.map((part: Json) => part.text)).toEqual([`You said ${later}`]);
    const events = await gather(one.subscribe(place.taskId, { lastEventId: "0" }));
    expect(events.map((event) => Number(event.id))).toEqual(events.map((_, index) => index + 1));
  });

  test("a message queued behind a running turn is answered with the terminal error once the task has ended", async () => {
    const { one, two } = stageFor(subject);
    const running = one.stream("count 10 every 40ms");
    const first = await running.next();
    const place = placeOf(first.value?.body.result);
    const [late] = await Promise.all([two.send("too late", place), gather(running)]);
    const refused = await two.send("too late", place);
    expect(late.body.error.code).toBe(subject.dialect === "1.0" ? -32004 : -32600);
    expect(refused.body.error.code).toBe(late.body.error.code);
    expect((await stageFor(subject).fleet.starts()).filter((start) => start.taskId === place.taskId)).toHaveLength(1);
  });

  test("auth-required closes nothing: the stream and a subscription go on to the end", async () => {
    const { one, two } = stageFor(subject);
    const sent = watch(one.stream("auth 900"));
    await waitFor(() => sent.events.some((event) => summary(event) === "status auth-required"), {
      message: "auth-required",
    });
    const id = taskIdOf(sent.events[0]!.body.result);
    const watched = watch(two.subscribe(id));
    await Promise.all([sent.done, watched.done]);
    expect(sent.events.map(summary)).toEqual([
      "task submitted",
      "status working",
      "status auth-required",
      "status working",
      "artifact",
      "status completed",
    ]);
    expect(watched.events.map(summary)).toEqual([
      "task auth-required",
      "status working",
      "artifact",
      "status completed",
    ]);
  });

  test("P4: a non-blocking send is tracked to its end without any client", async () => {
    const { one, two, fleet } = stageFor(subject);
    const reply = await one.send("count 5 every 20ms", { blocking: false });
    expect(["submitted", "working"]).toContain(stateOf(reply.body.result));
    const id = taskIdOf(reply.body.result);
    const task = await taskAt(two, id, "completed");
    expect(content(task).artifacts[0].parts).toHaveLength(5);
    expect((await fleet.starts()).filter((start) => start.taskId === id)).toHaveLength(1);
  });

  test("P4: a client that leaves its stream or its blocking call stops nothing", async () => {
    const { one, two, fleet } = stageFor(subject);
    const running = one.stream("count 10 every 20ms");
    const first = await running.next();
    const streamed = taskIdOf(first.value?.body.result);
    await running.return();
    const messageId = crypto.randomUUID();
    const leave = new AbortController();
    const waiting = one.call("send", one.message("slow 300", { messageId }), { signal: leave.signal });
    const started = await waitFor(async () => (await fleet.starts()).find((start) => start.messageId === messageId), {
      message: "the executor has started",
    });
    leave.abort();
    await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
    await taskAt(two, streamed, "completed");
    await taskAt(two, started.taskId, "completed");
  });

  test("P1: a message of a known context goes to the replica that ran the last one (affinity)", async () => {
    const { one, two, three, fleet } = stageFor(subject);
    const { contextId } = placeOf((await one.send("hello")).body.result);
    for (const client of [two, three]) {
      const reply = await client.send("again", { contextId });
      const start = (await fleet.starts()).find((line) => line.taskId === taskIdOf(reply.body.result));
      expect(start?.replica).toBe(0);
      expect(contextIdOf(reply.body.result)).toBe(contextId);
    }
  });

  test("P1: a cancel through another replica stops the executor, once, and every stream ends with it", async () => {
    const { one, two, three, fleet } = stageFor(subject);
    const sent = watch(one.stream("wait-cancel"));
    await waitFor(() => sent.events.some((event) => summary(event) === "status working"), { message: "working" });
    const id = taskIdOf(sent.events[0]!.body.result);
    const watched = watch(three.subscribe(id));
    await waitFor(() => watched.events.length > 0, { message: "the subscription has its Task" });
    const canceled = await two.cancel(id);
    expect(stateOf(canceled.body.result)).toBe("canceled");
    await Promise.all([sent.done, watched.done]);
    expect(sent.events.map(summary).at(-1)).toBe("status canceled");
    expect(watched.events.map(summary).at(-1)).toBe("status canceled");
    expect((await fleet.cancels()).filter((line) => line.taskId === id).map((line) => line.replica)).toEqual([0]);
    expect(stateOf((await three.get(id)).body.result)).toBe("canceled");
  });

  test("P1: a task that waits for an answer is canceled through another replica", async () => {
    const { direct, one, two, three } = stageFor(subject);
    const { taskId } = placeOf((await one.send("ask")).body.result);
    expect(stateOf((await two.cancel(taskId)).body.result)).toBe("canceled");
    expect(stateOf((await three.get(taskId)).body.result)).toBe("canceled");
    expect(stateOf((await direct.get(taskId)).body.result)).toBe("canceled");
  });

  test("P10: cancel of a canceled and of a completed task is answered as by the agent", async () => {
    const { direct, one, two } = stageFor(subject);
    const ids = async (client: RpcClient) => {
      const [done, waiting] = await Promise.all([client.send("hello"), client.send("ask")]);
      await client.cancel(taskIdOf(waiting.body.result));
      return [taskIdOf(done.body.result), taskIdOf(waiting.body.result)] as const;
    };
    const [own, recorded] = await Promise.all([ids(direct), ids(one)]);
    for (const index of [0, 1] as const) {
      const [expected, got] = [await direct.cancel(own[index]), await two.cancel(recorded[index])];
      expect(got.body.error?.code).toBe(expected.body.error?.code);
      expect(stateOf(got.body.result)).toBe(stateOf(expected.body.result));
    }
  });

  test("P4, P6: a cancel the agent does not follow leaves the task to end as it does", async () => {
    const { direct, one, two } = stageFor(subject);
    const play = async (near: RpcClient, far: RpcClient) => {
      const sent = watch(near.stream("uncancelable 700"));
      await waitFor(() => sent.events.some((event) => summary(event) === "status working"), { message: "working" });
      const id = taskIdOf(sent.events[0]!.body.result);
      const { body } = await far.cancel(id);
      await sent.done;
      return { id, code: body.error?.code, state: stateOf(body.result), last: summary(sent.events.at(-1)!) };
    };
    const [own, through] = await Promise.all([play(direct, direct), play(one, two)]);
    expect(normalForm(through)).toEqual(normalForm(own));
    expect(through.last).toBe("status completed");
    await taskAt(two, through.id, "completed");
  });

  test("P2, P3: a message to a task that ended meanwhile changes nothing", async () => {
    const { one, two, three } = stageFor(subject);
    const place = placeOf((await one.send("hello")).body.result);
    const before = (await three.get(place.taskId, 100)).body.result;
    const refused = [await two.send("more", place), await collect(two.stream("more", place))];
    for (const reply of refused) expect(errorCodeIn(reply)).toBe(subject.dialect === "1.0" ? -32004 : -32600);
    await sleep(50);
    expect((await three.get(place.taskId, 100)).body.result).toEqual(before);
  });
});

/** Reads a stream in the background. */
function watch(stream: AsyncGenerator<ReceivedEvent, void, undefined>): {
  events: ReceivedEvent[];
  done: Promise<void>;
} {
  const events: ReceivedEvent[] = [];
  const done = (async () => {
    for await (const event of stream) events.push(event);
  })();
  // Whoever awaits it gets the failure; until then it is nobody's.
  done.catch(() => undefined);
  return { events, done };
}

/** What every subscriber of the task is to see alike; `final` says where this stream closes. */
function withoutFrame(event: ReceivedEvent): Json {
  const { final: _, ...result } = event.body.result;
  return { id: event.id, result };
}

function consecutiveFrom(first: ReceivedEvent | undefined): number[] {
  const start = Number(first?.id);
  return [start, start + 1, start + 2, start + 3];
}

function errorCodeIn(reply: Json): number | undefined {
  const body = reply.kind === "events" ? reply.events[0].body : reply.body;
  return body.error?.code;
}
