/** What every relay promises, run on the in-process one and on a real nats-server. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Nudge, Relay, RelayedEvent } from "../../src/ports/relay.ts";
import { waitFor } from "../support/wait.ts";

/** Opens connected relays that reach each other: two of one agent, one of another. */
export interface RelaySetup {
  one: Relay;
  two: Relay;
  stranger: Relay;
  close(): Promise<void>;
}

export function relayedEvent(generation: number, change: Partial<RelayedEvent> = {}): RelayedEvent {
  const payload = `{"statusUpdate":{"taskId":"t1","n":${generation}}}`;
  return { taskId: "t1", generation, epoch: 3, kind: "status", payload, terminal: false, ...change };
}

export function relayContract(name: string, setup: () => Promise<RelaySetup>): void {
  describe(`a relay (${name})`, () => {
    let relays: RelaySetup;
    beforeEach(async () => {
      relays = await setup();
    });
    afterEach(() => relays.close());

    async function listen(relay: Relay, taskId = "t1"): Promise<RelayedEvent[]> {
      const heard: RelayedEvent[] = [];
      await relay.joinTask(taskId, (event) => heard.push(event)).joined;
      return heard;
    }

    test("an event arrives on the other instance as it was published, and at home too", async () => {
      const [there, here] = [await listen(relays.two), await listen(relays.one)];
      const events = [
        relayedEvent(1, {
          kind: "task",
          payload: '{"task":{"id":"t1","text":"\\u0000 ü 𝄞 \\"x\\"","n":12345678901234567890}}',
        }),
        relayedEvent(2, { kind: "artifact" }),
        relayedEvent(3, { payload: null }),
        relayedEvent(4, { terminal: true, epoch: 9_007_199_254_740_991 }),
      ];
      for (const event of events) relays.one.publishEvent(event);
      await waitFor(() => there.length === 4 && here.length === 4, {
        message: () => `${there.length} and ${here.length}`,
      });
      expect(there).toEqual(events);
      expect(here).toEqual(events);
    });

    test("an event reaches neither another task's readers nor another agent's", async () => {
      const [other, stranger, mine] = [
        await listen(relays.two, "t2"),
        await listen(relays.stranger),
        await listen(relays.two),
      ];
      relays.one.publishEvent(relayedEvent(1));
      await waitFor(() => mine.length === 1, { message: "the event did not arrive" });
      expect([other, stranger]).toEqual([[], []]);
    });

    test("every member of a subject hears, and one that left hears nothing", async () => {
      const heard: string[] = [];
      const first = relays.two.joinTask("t1", () => heard.push("first"));
      const second = relays.two.joinTask("t1", () => heard.push("second"));
      await Promise.all([first.joined, second.joined]);
      first.leave();
      first.leave();
      relays.one.publishEvent(relayedEvent(1));
      await waitFor(() => heard.includes("second"), { message: "the event did not arrive" });
      second.leave();
      const third = await listen(relays.two);
      relays.one.publishEvent(relayedEvent(2));
      await waitFor(() => third.length === 1, { message: "joining again does not work" });
      expect(heard).toEqual(["second"]);
    });

    test("a member that throws does not keep the news from the others", async () => {
      const heard: string[] = [];
      await relays.one.joinTask("t1", () => {
        throw new Error("of a test");
      }).joined;
      await relays.one.joinTask("t1", () => heard.push("still")).joined;
      relays.one.publishEvent(relayedEvent(1));
      await waitFor(() => heard.length === 1, { message: "the second member heard nothing" });
      expect(heard).toEqual(["still"]);
    });

    test("turns, nudges and claimable work are heard by whom they concern", async () => {
      const turns: string[] = [];
      const nudges: Nudge[] = [];
      let claimable = 0;
      await Promise.all([
        relays.two.joinTurn("turn-1", (news) => turns.push(news.turnId)).joined,
        relays.one.joinTurn("turn-1", (news) => turns.push(`home ${news.turnId}`)).joined,
        relays.two.joinTurn("turn-2", () => turns.push("wrong")).joined,
        relays.two.joinInstance("two", (nudge) => nudges.push(nudge)).joined,
        relays.two.joinClaimable(() => (claimable += 1)).joined,
        relays.stranger.joinClaimable(() => (claimable += 100)).joined,
      ]);
      relays.one.publishTurn({ turnId: "turn-1" });
      relays.one.nudge("two", { turnId: "turn-1" });
      relays.one.nudge("two", { cancelTaskId: "t1" });
      relays.one.nudge("three", { turnId: "turn-1" });
      relays.one.publishClaimable();
      await waitFor(() => turns.length === 2 && nudges.length === 2 && claimable === 1, { message: "news is missing" });
      expect(turns.toSorted()).toEqual(["home turn-1", "turn-1"]);
      expect(nudges).toEqual([{ turnId: "turn-1" }, { cancelTaskId: "t1" }]);
    });

    test("many events of one publisher keep their order", async () => {
      const heard = await listen(relays.two);
      for (let generation = 1; generation <= 2_000; generation += 1) relays.one.publishEvent(relayedEvent(generation));
      await waitFor(() => heard.length === 2_000, { message: () => `${heard.length} of 2000 arrived` });
      expect(heard.every((event, index) => event.generation === index + 1)).toBe(true);
    });

    test("a closed relay is left silently", async () => {
      const heard = await listen(relays.two);
      await relays.two.close();
      relays.one.publishEvent(relayedEvent(1));
      relays.two.publishEvent(relayedEvent(2));
      const witness = await listen(relays.one);
      relays.one.publishEvent(relayedEvent(3));
      await waitFor(() => witness.length === 1, { message: "the event did not arrive" });
      expect(heard).toEqual([]);
    });
  });
}
