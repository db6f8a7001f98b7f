/** The pod that works is killed without a word, and its work goes on elsewhere under the same task id. */
import type { Stage } from "./stage.ts";
import { attempt, describeError, foldText } from "./client.ts";
import { gather, narrate, readUntil, shortId } from "./narrate.ts";

const TOTAL = 20;
const TEXT = `count ${TOTAL} every 80ms`;

/** Kills the owner in the middle of a stream; a subscriber elsewhere sees the work start again and end. */
export async function outliveAPod(stage: Stage): Promise<void> {
  const { timeline, fleet, clients } = stage;
  timeline.scene("A pod dies in the middle of the work, the task does not");
  const [one, two, three] = fleet.replicas;
  timeline.note("client", `stream "${TEXT}" through ${one.name}`);
  const events = narrate(timeline, one.name, clients[0].stream(TEXT));
  const { taskId } = await readUntil(events, (seen) => seen.taskId !== "");
  const follower = attempt(gather(narrate(timeline, two.name, clients[1].subscribe(taskId))));
  await readUntil(events, (seen) => seen.text.startsWith("8 "));
  const rest = attempt(gather(events));
  timeline.note(one.name, "killed (SIGKILL), agent and sidecar");
  const killedAt = performance.now();
  await fleet.kill(one);
  fleet.balancer.setBackends([two, three]);
  await rest;

  const seen = await follower;
  const tookMs = Math.round(performance.now() - killedAt);
  timeline.note(two.name, `the task has ended ${tookMs} ms after the kill`);
  const followed = seen.ok ? seen.value : [];
  const restarted = followed.find((event) => event.said?.includes("restarted") === true);
  timeline.expect("the subscriber was told that the work was restarted", restarted !== undefined, () =>
    seen.ok ? "no word of it" : describeError(seen.error),
  );
  const wanted = Array.from({ length: TOTAL }, (_, index) => `${index + 1} `).join("");
  timeline.expect("and has the whole result, nothing twice", foldText(followed) === wanted, () => foldText(followed));
  const got = await attempt(clients[2].get(taskId));
  const answer = got.ok ? `${got.value.state}, "${got.value.text.trim()}"` : describeError(got.error);
  timeline.note(three.name, `get ${shortId(taskId)}: ${answer}`);
  const whole = got.ok && got.value.state === "completed" && got.value.text === wanted;
  timeline.expect(`${three.name} gives the same task, completed`, whole, () => answer);
  const fresh = await fleet.replace(one);
  timeline.note(fresh.name, `takes the place of ${one.name}`);
  fleet.balancer.setBackends(fleet.replicas);
}
