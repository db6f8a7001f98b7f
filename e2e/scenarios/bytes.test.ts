/** Payloads are the agent's own bytes, wherever they are shown: nothing is written anew (P10). */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import { sliceMember } from "../agents/raw/raw-json.ts";
import { AWKWARD_DATA } from "../agents/raw/wording.ts";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import { normalText } from "./support/normal-form.ts";
import type { ReceivedEvent } from "./support/rpc-client.ts";
import { contextIdOf, gather, RpcClient, stateOf, taskIdOf } from "./support/rpc-client.ts";
import type { Subject } from "./support/subject.ts";
import { methodOf, RAW_03, RAW_1 } from "./support/subject.ts";

const SUBJECTS: { name: string; subject: Subject }[] = [RAW_1, RAW_03].map((subject) => ({
  name: subject.name,
  subject,
}));

/** A member no version of the protocol knows, as the agent puts it into tasks and events. */
const UNKNOWN = '"x-vendor":{"n":18446744073709551615,"b":[ ],"a":null}';

/** What a serialiser would change in a user's message: integers, a repeated key, escapes, whitespace, order. */
const USER_PARTS =
  '{"data":{"big":9007199254740993,"twice":1,"twice":2,"nul":"a\\u0000b","esc":"\\u00e9\\/","e":1.0E+2,"neg":-0}}';

const fleets = new Map<Subject, Fleet>();

beforeAll(async () => {
  await Promise.all([RAW_1, RAW_03].map(async (subject) => fleets.set(subject, await startFleet(subject))));
});

afterAll(async () => {
  await Promise.all([...fleets.values()].map((fleet) => fleet.stop()));
});

function stageFor(subject: Subject) {
  const fleet = fleets.get(subject)!;
  const client = (url: string) => new RpcClient(url, subject);
  return { direct: client(fleet.agentUrl(0)), one: client(fleet.url(0)), two: client(fleet.url(1)) };
}

/** A call written by hand. The id is larger than any double can hold. */
function call(subject: Subject, method: string, text: string, pretty = false): string {
  const old = subject.dialect === "0.3";
  const separator = pretty ? ",\n\t  " : ",";
  const message = [
    ...(old ? ['"kind":"message"'] : []),
    '"x-unknown" : {"z":1,"a":[ 1,2 ]}',
    `"parts":[{${old ? '"kind":"text",' : ""}"text":${JSON.stringify(text)}},${USER_PARTS}]`,
    `"messageId":"${randomUUID()}"`,
    `"role":"${old ? "user" : "ROLE_USER"}"`,
  ].join(separator);
  return `{"id":98765432109876543210,"jsonrpc":"2.0","method":"${method}","params":{"message":{${message}}}}`;
}

const times = (text: string, part: string) => text.split(part).length - 1;

describe.for(SUBJECTS)("$name", ({ subject }) => {
  const send = methodOf(subject, "send");

  test.for(["odd big", "big", "odd"])("a unary answer keeps every byte: “count 2 %s”", async (knobs) => {
    const { direct, one, two } = stageFor(subject);
    const body = call(subject, send, `count 2 every 1ms ${knobs}`);
    const [own, through] = [await direct.post(body), await one.post(body)];
    const result = (text: string) => normalText(sliceMember(text, ["result"]) ?? "");
    expect(result(through.text)).toBe(result(own.text));
    expect(sliceMember(through.text, ["id"])).toBe("98765432109876543210");

    // What get shows is the Task of that answer, byte for byte, on either replica.
    const id = taskIdOf(through.body.result);
    const task = sliceMember(through.text, subject.dialect === "1.0" ? ["result", "task"] : ["result"]);
    for (const client of [one, two]) expect(sliceMember((await client.get(id)).text, ["result"])).toBe(task);
  });

  test.for([
    ["odd big", "members in an odd order, big integers, repeated keys"],
    ["odd big multiline crlf", "JSON over several lines"],
    ["big split", "chunks that cut characters"],
  ])("a stream and a subscription elsewhere keep every byte: %s (%s)", async ([knobs]) => {
    const { direct, one, two } = stageFor(subject);
    const text = `count 4 every 120ms ${knobs}`;
    const own = await gather(direct.stream(text));
    const stream = one.stream(text);
    const first = (await stream.next()).value as ReceivedEvent;
    const id = taskIdOf(first.body.result);
    const [rest, watched] = await Promise.all([gather(stream), gather(two.subscribe(id))]);
    const events = [first, ...rest];
    // Line breaks are legal between tokens only; an event here is one line.
    expect(events.map(rawOf).map(normalText)).toEqual(
      own.map(rawOf).map((raw) => normalText(raw.replaceAll("\n", " "))),
    );

    const live = watched.slice(1);
    expect(live.length).toBeGreaterThan(0);
    expect(live.map(rawOf)).toEqual(events.slice(-live.length).map(rawOf));
    const replayed = await gather(two.subscribe(id, { lastEventId: "0" }));
    expect(replayed.map(rawOf)).toEqual(events.map(rawOf));

    // The fold is spliced from the same bytes, shown in a Task of its own.
    const shown = (await two.get(id)).text;
    expect(times(oneSpace(shown), AWKWARD_DATA)).toBe(4);
    expect(times(oneSpace(shown), UNKNOWN)).toBeGreaterThan(0);
    expect((await one.get(id)).text).toBe(shown);
  });

  test("the user's message keeps its bytes in the agent's hands, in the history and in a snapshot", async () => {
    const { one, two } = stageFor(subject);
    const body = call(subject, send, "count 1 every 1ms", true);
    const message = (sliceMember(body, ["params", "message"]) ?? "").replaceAll("\n", " ");
    const reply = await one.post(body);
    expect(stateOf(reply.body.result)).toBe("completed");
    expect(reply.text).toContain(message);
    expect((await two.get(taskIdOf(reply.body.result))).text).toContain(message);

    const streaming = call(subject, methodOf(subject, "stream"), "count 2 every 1ms status-first", true);
    const kept = (sliceMember(streaming, ["params", "message"]) ?? "").replaceAll("\n", " ");
    const streamed = await one.post(streaming);
    const id = /"taskId":"([^"]+)"/.exec(streamed.text)?.[1] ?? "";
    // No Task came from the agent: the record adds the message to the history.
    const got = await waitFor(async () => (await two.get(id)).text, { message: "the task" });
    expect(oneLine(got)).toContain(kept);
  });

  test("an id of the caller's is given back as it was written", async () => {
    const { one, two } = stageFor(subject);
    const { body } = await one.send("count 1 every 1ms");
    const id = taskIdOf(body.result);
    for (const rawId of ['"\\u0041\\/"', "12345678901234567890", "null", "-7", '""']) {
      const get = `{"jsonrpc":"2.0","id":${rawId},"method":"${methodOf(subject, "get")}","params":{"id":"${id}"}}`;
      const reply = await two.post(get);
      expect(sliceMember(reply.text, ["id"])).toBe(rawId);
      expect(taskIdOf(reply.body.result)).toBe(id);
    }
  });
});

test("a list shows the same bytes as get", async () => {
  const { one, two } = stageFor(RAW_1);
  const sent = await one.send("count 3 every 1ms odd big", { contextId: randomUUID() });
  const contextId = contextIdOf(sent.body.result);
  const list = await two.call("list", { contextId, includeArtifacts: true });
  expect(list.body.result.totalSize).toBe(1);
  const task = sliceMember((await one.get(taskIdOf(sent.body.result))).text, ["result"]) ?? "";
  expect(list.text).toContain(task);
  expect(times(list.text, AWKWARD_DATA)).toBe(3);
});

function rawOf(event: ReceivedEvent): string {
  return event.rawResult ?? JSON.stringify(event.body);
}

function oneLine(text: string): string {
  return text.replaceAll("\n", " ");
}

/** Undoes what `multiline` adds after commas and brackets, so that the bytes between can be searched. */
function oneSpace(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|([,{[]) {3}/g, (token, bracket?: string) => bracket ?? token);
}
