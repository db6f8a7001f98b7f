/** Clients talk to the URL in the card: whichever way they get it, it leads them back to the sidecar. */
import { randomUUID } from "node:crypto";
import { ClientFactory as ClientFactory1 } from "@a2a-js/sdk/client";
import { ClientFactory as ClientFactory03 } from "a2a-js-sdk-03/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectClient03 } from "../demo/client-03.ts";
import { connectClient1 } from "../demo/client-1.ts";
import type { ConnectClient } from "../demo/client.ts";
import type { Balancer } from "../support/balancer.ts";
import { startBalancer } from "../support/balancer.ts";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import type { Json } from "./support/rpc-client.ts";
import type { Subject } from "./support/subject.ts";
import { JS_03, JS_1, RAW_1 } from "./support/subject.ts";

const CARD = "/.well-known/agent-card.json";
const extended = (subject: Subject): Subject => ({ ...subject, flags: [...subject.flags, "--extended"] });

const fleets = new Map<string, Fleet>();
let balancer: Balancer;

beforeAll(async () => {
  balancer = await startBalancer();
  await Promise.all([
    ...[JS_1, JS_03].map(async (one) => fleets.set(one.agent, await startFleet(extended(one)))),
    (async () => fleets.set("raw", await startFleet({ ...RAW_1, flags: ["--signed"] })))(),
  ]);
});

afterAll(async () => {
  await balancer.close();
  await Promise.all([...fleets.values()].map((fleet) => fleet.stop()));
});

const fleetOf = (agent: string): Fleet => fleets.get(agent)!;

/** The same card with every URL of the agent pointing to `origin`. */
function movedTo(card: Json, agentUrl: string, origin: string): Json {
  return JSON.parse(JSON.stringify(card).replaceAll(agentUrl, origin));
}

async function cardAt(baseUrl: string, headers: Record<string, string> = {}): Promise<Json> {
  const response = await fetch(baseUrl + CARD, { headers });
  expect(response.status).toBe(200);
  return response.json();
}

const SDKS: { name: string; agent: string; connect: ConnectClient }[] = [
  { name: "the client of JS 1.3", agent: "js-1", connect: connectClient1 },
  { name: "the client of JS 0.3", agent: "js-03", connect: connectClient03 },
];

describe.for(SDKS)("$name", ({ agent, connect }) => {
  test("P1: starts from a replica's card and stays on the record, whatever it does", async () => {
    const fleet = fleetOf(agent);
    const [one, two] = [await connect(fleet.url(0)), await connect(fleet.url(1))];
    const events: string[] = [];
    let id = "";
    for await (const event of one.stream("count 3 every 10ms")) {
      events.push(event.kind);
      id = event.taskId;
    }
    expect(events).toEqual(["task", "status", "artifact", "artifact", "artifact", "status"]);
    expect(await two.get(id)).toEqual(await one.get(id));

    const asked = await two.send("ask");
    const answered = await one.send("blue", asked);
    expect(answered.text).toBe("You said blue");
    expect((await two.get(asked.taskId)).state).toBe("completed");

    const stream = one.stream("count 200 every 20ms");
    const running = (await stream.next()).value!;
    const watched = (async () => {
      const states: (string | null)[] = [];
      for await (const event of two.subscribe(running.taskId)) states.push(event.state);
      return states;
    })();
    expect((await two.cancel(running.taskId)).state).toBe("canceled");
    expect((await watched).at(-1)).toBe("canceled");
    await stream.return();
    const listed = await two.list(running.contextId);
    if (listed !== null) expect(listed.map((task) => task.taskId)).toEqual([running.taskId]);
  });

  test("P1: starts from the balancer's card and stays behind the balancer", async () => {
    const fleet = fleetOf(agent);
    balancer.setBackends(fleet.replicas);
    const client = await connect(balancer.url);
    const served = new Set<string | null>();
    const sent = await client.send("hello");
    for (let n = 0; n < 4; n++) {
      expect(await client.get(sent.taskId)).toEqual(sent);
      served.add(client.servedBy);
    }
    expect(served.size).toBe(2);
  });
});

test.for([
  ["js-1", { "a2a-version": "1.0" }],
  ["js-1", {}],
  ["js-03", {}],
] as const)("P10: the card of %s (%o) differs from the agent's in its addresses only", async ([agent, headers]) => {
  const fleet = fleetOf(agent);
  const own = await cardAt(fleet.agentUrl(0), headers);
  expect(await cardAt(fleet.url(0), headers)).toEqual(movedTo(own, fleet.agentUrl(0), fleet.url(0)));
});

test("the card names the address that the client used, also behind proxies", async () => {
  const fleet = fleetOf("js-1");
  const forwarded = { "x-forwarded-host": "agents.example.com", "x-forwarded-proto": "https" };
  const card = await cardAt(fleet.url(0), { ...forwarded, "a2a-version": "1.0" });
  const urls = card.supportedInterfaces.map((one: Json) => one.url);
  expect(new Set(urls)).toEqual(
    new Set(["https://agents.example.com/a2a/jsonrpc", "https://agents.example.com/a2a/rest"]),
  );
});

test("PUBLIC_URL is the address in every card", async () => {
  const fleet = await startFleet({
    agent: "js-03",
    flags: ["--extended"],
    replicas: 1,
    env: { PUBLIC_URL: "https://agents.example.com/team/counter" },
  });
  try {
    const card = await cardAt(fleet.url(0));
    expect(card.url).toMatch(/^https:\/\/agents\.example\.com\/team\/counter\/?$/);
  } finally {
    await fleet.stop();
  }
});

test("a changed card loses its signatures and its old ETag; interfaces that are not the agent's stay", async () => {
  const fleet = fleetOf("raw");
  const own = await cardAt(fleet.agentUrl(0));
  const response = await fetch(fleet.url(0) + CARD);
  const card: Json = await response.json();
  const { signatures, ...unsigned }: Json = own;
  expect(signatures).toHaveLength(1);
  expect(card).toEqual(movedTo(unsigned, fleet.agentUrl(0), fleet.url(0)));
  expect(card.supportedInterfaces.map((one: Json) => one.url).slice(1)).toEqual([
    "localhost:50051",
    "https://agents.example.com/rpc",
  ]);
  const etag = response.headers.get("etag") ?? "";
  expect(etag).not.toBe("");
  expect(etag).not.toBe('W/"raw-1"');
  const again = await fetch(fleet.url(0) + CARD, { headers: { "if-none-match": etag } });
  expect(again.status).toBe(304);
  const old = await fetch(fleet.url(0) + CARD, { headers: { "if-none-match": 'W/"raw-1"' } });
  expect(old.status).toBe(200);
});

test("P10: caches are told that the card depends on the version and on the address asked", async () => {
  const fleet = fleetOf("js-1");
  const vary = ((await fetch(fleet.url(0) + CARD)).headers.get("vary") ?? "").toLowerCase().split(/,\s*/);
  expect(vary).toEqual(expect.arrayContaining(["a2a-version", "host", "x-forwarded-host", "x-forwarded-proto"]));
});

describe("extended cards", () => {
  test("over JSON-RPC in 1.0, by the SDK's client", async () => {
    const fleet = fleetOf("js-1");
    const client = await new ClientFactory1().createFromUrl(fleet.url(1));
    const card = await client.getAgentCard();
    expect(card.description).toBe("The extended card.");
    const origins = new Set(card.supportedInterfaces.map((one) => new URL(one.url).origin));
    expect(origins).toEqual(new Set([fleet.url(1)]));
  });

  test("over JSON-RPC in 0.3, by the SDK's client", async () => {
    const fleet = fleetOf("js-03");
    const client = await new ClientFactory03().createFromUrl(fleet.url(1));
    const card = await client.getAgentCard();
    expect(card.description).toBe("The extended card.");
    expect(card.url).toBe(`${fleet.url(1)}/`);
  });

  test("over HTTP", async () => {
    const fleet = fleetOf("js-1");
    const get = async (baseUrl: string): Promise<Json> =>
      (await fetch(`${baseUrl}/a2a/rest/extendedAgentCard`, { headers: { "a2a-version": "1.0" } })).json();
    const own = await get(fleet.agentUrl(0));
    expect(own.description).toBe("The extended card.");
    expect(await get(fleet.url(0))).toEqual(movedTo(own, fleet.agentUrl(0), fleet.url(0)));
  });

  test("P10: where there is none the agent's error is passed on", async () => {
    const fleet = fleetOf("raw");
    const body = JSON.stringify({ jsonrpc: "2.0", id: randomUUID(), method: "GetExtendedAgentCard" });
    const init = { method: "POST", headers: { "content-type": "application/json" }, body };
    const [own, through] = [await fetch(`${fleet.agentUrl(0)}/rpc`, init), await fetch(`${fleet.url(0)}/rpc`, init)];
    expect(await through.json()).toEqual(await own.json());
  });
});
