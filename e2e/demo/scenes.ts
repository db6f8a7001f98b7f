/** Plays scenes one after the other; one that breaks off or hangs is a broken expectation, not the end of the demo. */
import { within } from "../../sidecar/test/support/wait.ts";
import { attempt, describeError } from "./client.ts";
import type { Timeline } from "./timeline.ts";

/** Longer than any scene takes on a slow machine. */
const SCENE_DEADLINE_MS = 90_000;

export async function playScenes<S extends { timeline: Timeline }>(
  stage: S,
  scenes: readonly ((stage: S) => Promise<void>)[],
): Promise<void> {
  for (const scene of scenes) {
    const played = await attempt(within(scene(stage), SCENE_DEADLINE_MS, "the scene's end"));
    if (!played.ok) stage.timeline.expect("the scene plays to its end", false, () => describeError(played.error));
  }
}
