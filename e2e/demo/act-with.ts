/** Act two: the same agents, each with a sidecar. Whatever is asked of any replica, the answer is the same. */
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Seen } from "./client.ts";
import { attempt, describeError } from "./client.ts";
import type { Fleet } from "./fleet.ts";
import type { Flavour } from "./flavour.ts";
import { gather, narrate, readUntil, shortId } from "./narrate.ts";
import { outliveAPod } from "./crash-scene.ts";
import { resumeAcrossReplicas } from "./resume-scene.ts";
import { restartEverything } from "./rolling-scene.ts";
import { playScenes } from "./scenes.ts";
import type { Stage } from "./stage.ts";
import type { Timeline } from "./timeline.ts";

/** How fast the work goes on that is to be canceled. */
const CANCELED_PACE_MS = 30;

/** Plays all scenes for one agent. */
export async function playWith(timeline: Timeline, flavour: Flavour, fleet: Fleet): Promise<void> {
  timeline.line();
  timeline.line(`  ${flavour.title}`);
  const [one, two, three] = fleet.replicas;
  const clients = [
    await flavour.connect(one.url),
    await flavour.connect(two.url),
    await flavour.connect(three.url),
  ] as const;
  const stage = { timeline, flavour, fleet, clients };
  await playScenes(stage, [
    readAnywhere,
    throughTheBalancer,
    cancelAnywhere,
    answerAnywhere,
    resumeAcrossReplicas,
    outliveAPod,
    restartEverything,
  ]);
}

async function readAnywhere({ timeline, fleet, clients }: Stage): Promise<void> {
  timeline.scene("One replica works, every replica knows");
  const [one, two, three] = fleet.replicas;
  const total = 20;
  timeline.note("client", `stream "count ${total} every 60ms" through ${one.name}`);
  const events = narrate(timeline, one.name, clients[0].stream(`count ${total} every 60ms`));
  const first = await readUntil(events, (seen) => seen.taskId !== "");
  const { taskId, contextId } = first;
  // Wrapped at once: whichever of them fails while another is awaited is told below, where it belongs.
  const rest = attempt(gather(events));
  const followers = [clients[1], clients[2]].map((client) => attempt(gather(client.subscribe(taskId))));

  for (const [replica, client] of [[two, clients[1]] as const, [three, clients[2]] as const]) {
    const got = await attempt(client.get(taskId));
    const answer = got.ok ? `${got.value.state}, so far "${got.value.text.trim()}"` : describeError(got.error);
    timeline.note(replica.name, `get ${shortId(taskId)}: ${answer}`);
    timeline.expect(`${replica.name} knows the task that ${one.name} works on`, got.ok && got.value.taskId === taskId);
  }
  const listed = await attempt(clients[2].list(contextId));
  if (!listed.ok || listed.value !== null) {
    const ids = listed.ok ? (listed.value ?? []).map((task) => task.taskId) : [];
    timeline.note(three.name, listed.ok ? `list: ${ids.map(shortId).join(", ")}` : describeError(listed.error));
    timeline.expect(`${three.name} lists it`, ids.includes(taskId));
  }

  const ended = await rest;
  const streamed = ended.ok ? wholeText([first, ...ended.value]) : describeError(ended.error);
  const wanted = Array.from({ length: total }, (_, index) => `${index + 1} `).join("");
  timeline.expect("the stream brought every number once and in order", streamed === wanted, () => streamed);
  for (const [index, follower] of followers.entries()) {
    const seen = await follower;
    const text = seen.ok ? wholeText(seen.value) : describeError(seen.error);
    timeline.expect(
      `a subscriber on ${fleet.replicas[index + 1]?.name} saw the same, to the end`,
      text === wanted,
      () => text,
    );
  }
  const final = await Promise.all(clients.map((client) => attempt(client.get(taskId))));
  const [reference] = final;
  const same = final.every((got) => got.ok && reference?.ok === true && isDeepStrictEqual(got.value, reference.value));
  timeline.expect("after the end all three replicas give the same task", same);
}

async function throughTheBalancer({ timeline, flavour, fleet }: Stage): Promise<void> {
  timeline.scene("A client that knows only the balancer");
  const client = await flavour.connect(fleet.balancer.url);
  const sent = await client.send("count 5 every 10ms");
  timeline.note(client.servedBy ?? "?", `send "count 5": Task ${shortId(sent.taskId)} ${sent.state}`);
  const served = new Set<string | null>();
  let found = 0;
  for (let n = 1; n <= 3; n++) {
    const got = await attempt(client.get(sent.taskId));
    const answer = got.ok ? `${got.value.state}, "${got.value.text.trim()}"` : describeError(got.error);
    timeline.note(client.servedBy ?? "?", `get ${shortId(sent.taskId)}: ${answer}`);
    served.add(client.servedBy);
    if (got.ok && isDeepStrictEqual(got.value, sent)) found++;
  }
  timeline.expect(
    "asked three times, three replicas gave the same answer",
    found === 3 && served.size === 3,
    () => `${found} of 3`,
  );
}

async function cancelAnywhere({ timeline, flavour, fleet, clients }: Stage): Promise<void> {
  timeline.scene("A cancel reaches the work, wherever it is sent");
  const [one, , three] = fleet.replicas;
  const text = `count 300 every ${CANCELED_PACE_MS}ms`;
  timeline.note("client", `stream "${text}" through ${one.name}`);
  const events = narrate(timeline, one.name, clients[0].stream(text));
  const { taskId } = await readUntil(events, (seen) => seen.kind === "artifact");
  const rest = attempt(gather(events));
  const canceled = await attempt(clients[2].cancel(taskId));
  const answer = canceled.ok ? `${canceled.value.state}` : describeError(canceled.error);
  timeline.note(three.name, `cancel ${shortId(taskId)}: ${answer}`);
  timeline.expect(
    `${three.name} answers with the canceled task`,
    canceled.ok && canceled.value.state === "canceled",
    () => answer,
  );
  if (!canceled.ok) await attempt(clients[0].cancel(taskId));
  const ended = await rest;
  const last = ended.ok ? ended.value.findLast((seen) => seen.state !== null)?.state : describeError(ended.error);
  timeline.expect(`the stream on ${one.name} ends with canceled`, last === "canceled", () => `${last}`);
  const reached = await fleet.canceledIn(one);
  timeline.expect(`the executor on ${one.name} was told`, reached.includes(taskId));
  await expectStandstill({ timeline, flavour, fleet, clients }, taskId);
}

/** Asks the agent itself, behind its sidecar's back, whether it counts on. */
async function expectStandstill({ timeline, flavour, fleet }: Stage, taskId: string): Promise<void> {
  const agent = await flavour.connect(fleet.replicas[0].agent.url);
  const before = await agent.get(taskId);
  await delay(5 * CANCELED_PACE_MS);
  const after = await agent.get(taskId);
  const standsStill = after.state === "canceled" && after.text === before.text;
  timeline.expect(
    "and stopped: the agent itself says canceled and counts no further",
    standsStill,
    () => `${after.state} ${after.text}`,
  );
}

async function answerAnywhere({ timeline, fleet, clients }: Stage): Promise<void> {
  timeline.scene("An answer reaches the one who asked");
  const [one, two, three] = fleet.replicas;
  const asked = await clients[0].send("ask");
  timeline.note(one.name, `send "ask": Task ${shortId(asked.taskId)} ${asked.state}`);
  timeline.expect(`${one.name} asks back`, asked.state === "input-required", () => `${asked.state}`);
  const answered = await attempt(clients[1].send("blue", { taskId: asked.taskId, contextId: asked.contextId }));
  const answer = answered.ok ? `${answered.value.state}, "${answered.value.text}"` : describeError(answered.error);
  timeline.note(two.name, `send "blue" to the same task: ${answer}`);
  const right = answered.ok && answered.value.state === "completed" && answered.value.text === "You said blue";
  timeline.expect(`the answer given to ${two.name} completes the task`, right, () => answer);
  timeline.expect(
    `the executor on ${one.name} got it, where the question was asked`,
    (await fleet.startedIn(one)).includes("blue"),
  );
  const got = await attempt(clients[2].get(asked.taskId));
  const state = got.ok ? `${got.value.state}` : describeError(got.error);
  timeline.note(three.name, `get ${shortId(asked.taskId)}: ${state}`);
  timeline.expect(`${three.name} knows how it ended`, state === "completed", () => state);
}

/** The text of the task as a reader of the stream has it at the end. */
function wholeText(seen: readonly Seen[]): string {
  return seen.map((one) => one.text).join("");
}
