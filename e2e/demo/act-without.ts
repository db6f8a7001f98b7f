/** Act one: three replicas of a plain agent behind the balancer, and how they fail. Here a failure is what is expected. */
import type { DemoClient } from "./client.ts";
import { attempt, describeError, isNotFound } from "./client.ts";
import type { Fleet } from "./fleet.ts";
import type { Flavour } from "./flavour.ts";
import { narrate, readUntil, shortId } from "./narrate.ts";
import { playScenes } from "./scenes.ts";
import type { Timeline } from "./timeline.ts";

interface Stage {
  timeline: Timeline;
  client: DemoClient;
}

/** Plays all scenes for one agent. */
export async function playWithout(timeline: Timeline, flavour: Flavour, fleet: Fleet): Promise<void> {
  timeline.line();
  timeline.line(`  ${flavour.title}`);
  const client = await flavour.connect(fleet.balancer.url);
  timeline.note("client", `read the card through the balancer, from ${client.servedBy}`);
  await playScenes({ timeline, client }, [readAndResume, cancelElsewhere, answerElsewhere]);
}

async function readAndResume({ timeline, client }: Stage): Promise<void> {
  timeline.scene("A task is known where it runs, and nowhere else");
  const { taskId, owner, events, leave } = await startCounting({ timeline, client }, "count 40 every 50ms");
  const answers: boolean[] = [];
  for (let n = 1; n <= 3; n++) {
    const got = await attempt(client.get(taskId));
    timeline.note(
      client.servedBy ?? "?",
      `get ${shortId(taskId)}: ${got.ok ? got.value.state : describeError(got.error)}`,
    );
    answers.push(got.ok);
  }
  const found = answers.filter(Boolean).length;
  timeline.expect("asked three times, one replica knows the task and two do not", found === 1, () => `${found} of 3`);

  timeline.scene("A dropped connection cannot be resumed");
  await readUntil(events, (seen) => seen.kind === "artifact");
  await leave();
  timeline.note("client", "lost its connection in the middle of the stream");
  await giveOwnerItsTurn(client, { taskId, owner });
  const resumed = await attempt(client.subscribe(taskId).next());
  const reason = resumed.ok ? "a stream" : describeError(resumed.error);
  timeline.note(client.servedBy ?? "?", `subscribe ${shortId(taskId)}: ${reason}`);
  timeline.expect(
    "the replica that got the reconnect has no such task",
    !resumed.ok && isNotFound(resumed.error),
    () => reason,
  );
}

async function cancelElsewhere({ timeline, client }: Stage): Promise<void> {
  timeline.scene("A cancel on the wrong replica stops nothing");
  const startedAt = performance.now();
  const { taskId, owner, events, leave } = await startCounting({ timeline, client }, "count 100 every 30ms");
  await giveOwnerItsTurn(client, { taskId, owner });
  const canceled = await attempt(client.cancel(taskId));
  const reason = canceled.ok ? `${canceled.value.state}` : describeError(canceled.error);
  timeline.note(client.servedBy ?? "?", `cancel ${shortId(taskId)}: ${reason}`);
  // What had been counted by now at the most: only later numbers show that the work goes on.
  const countedBefore = Math.ceil((performance.now() - startedAt) / 30);
  await readUntil(events, (seen) => seen.kind === "artifact" && Number(seen.text) > countedBefore + 5);
  await leave();
  timeline.expect("the cancel failed, and the agent works on as if nobody had asked", !canceled.ok, () => reason);
}

async function answerElsewhere({ timeline, client }: Stage): Promise<void> {
  timeline.scene("An answer to a question reaches somebody who never asked");
  const asked = await client.send("ask");
  const owner = client.servedBy ?? "?";
  timeline.note(owner, `Task ${shortId(asked.taskId)} ${asked.state}`);
  await giveOwnerItsTurn(client, { taskId: asked.taskId, owner });
  const answered = await attempt(client.send("blue", asked));
  const reason = answered.ok ? `${answered.value.state}` : describeError(answered.error);
  timeline.note(client.servedBy ?? "?", `"blue": ${reason}`);
  timeline.expect("the answer is refused: no such task", !answered.ok && isNotFound(answered.error), () => reason);
}

async function startCounting({ timeline, client }: Stage, text: string) {
  const leaving = new AbortController();
  timeline.note("client", `stream "${text}"`);
  const raw = client.stream(text, { signal: leaving.signal });
  const first = await raw.next();
  if (first.done === true) throw new Error("the stream ended before its first event");
  const owner = client.servedBy ?? "?";
  timeline.note(owner, `Task ${shortId(first.value.taskId)} ${first.value.state}`);
  const events = narrate(timeline, owner, raw);
  const leave = async () => {
    leaving.abort();
    await attempt(events.return());
  };
  return { taskId: first.value.taskId, owner, events, leave };
}

/** Asks until the owner has answered, so that the balancer sends the next request to another replica. */
async function giveOwnerItsTurn(client: DemoClient, task: { taskId: string; owner: string }): Promise<void> {
  for (let n = 0; n < 3; n++) {
    await attempt(client.get(task.taskId));
    if (client.servedBy === task.owner) return;
  }
}
