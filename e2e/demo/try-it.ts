/** The calls a reader can paste while the demo is kept running. */
import type { Fleet } from "./fleet.ts";
import type { Flavour } from "./flavour.ts";
import type { Timeline } from "./timeline.ts";

/** Prints curl lines that go through the balancer and through single replicas. */
export function printCallsToTry(timeline: Timeline, open: readonly { flavour: Flavour; fleet: Fleet }[]): void {
  timeline.line("\n  Kept running. Stop it with Ctrl-C; nothing is left behind then.");
  for (const { flavour, fleet } of open) {
    const [one, two, three] = fleet.replicas;
    const curl = (baseUrl: string, body: string, more = "") =>
      `  curl -sN ${baseUrl}${flavour.rpcPath} -H 'content-type: application/json'${headerFlags(flavour)}${more} -d '${body}'`;
    const lines = [
      `\n  ${flavour.title}`,
      "  # the card, as clients find it; its URL follows the address it was asked at",
      `  curl -s ${fleet.balancer.url}/.well-known/agent-card.json`,
      "  # a stream through the first replica; every event has its number as its id",
      // Not a UUID: pasted twice it is two tasks, where a retried UUID would join the first one.
      curl(one.url, flavour.streamBody("count 30 every 500ms", "by-hand")),
      "  # the same task through the second one: TASK is the id in the first event",
      curl(two.url, flavour.getBody("TASK")),
      "  # follow it through the third one, from its sixth event on, while it runs or after its end",
      curl(three.url, flavour.subscribeBody("TASK"), " -H 'Last-Event-ID: 5'"),
      "  # what a sidecar counts",
      `  curl -s ${one.sidecar?.adminUrl}/metrics`,
    ];
    for (const line of lines) timeline.line(line);
  }
}

function headerFlags(flavour: Flavour): string {
  return Object.entries(flavour.headers)
    .map(([name, value]) => ` -H '${name}: ${value}'`)
    .join("");
}
