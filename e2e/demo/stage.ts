/** What the scenes of the second act play on. */
import type { DemoClient } from "./client.ts";
import type { Flavour } from "./flavour.ts";
import type { Fleet } from "./fleet.ts";
import type { Timeline } from "./timeline.ts";

export interface Stage {
  timeline: Timeline;
  flavour: Flavour;
  fleet: Fleet;
  /** One SDK client per replica, each from the card that replica serves. */
  clients: readonly [DemoClient, DemoClient, DemoClient];
}
