import { describe, expect, it, test } from "vitest";
import { type CardAddresses, cardSpeaks, etagOf, rewriteCard } from "./card.ts";

const derived: CardAddresses = {
  agentUrl: "http://agent.local:8080",
  publicUrl: null,
  requestOrigin: "https://a.example",
};
const fixed: CardAddresses = { ...derived, publicUrl: "https://public.example/agents/echo/" };

/** The three shapes a card comes in; `<u>` is the one address, `<s>` where signatures stand. */
const shapes = {
  "0.3":
    '{ "name":"é\\u00e9", "url":<u>,"preferredTransport":"JSONRPC","additionalInterfaces":[{"url":<u>, "transport":"HTTP+JSON"}]<s>,"version":1.50 }',
  "1.0":
    '{"name":"n","supportedInterfaces":[ {"url":<u>,"protocolBinding":"JSONRPC","protocolVersion":"1.0"},{"url":<u>,"protocolBinding":"HTTP+JSON"}]<s>,"x":{"url":"http://localhost:1/"}}',
  hybrid:
    '{"url":<u>,"name":"n"<s>,"supportedInterfaces":[{"url":<u>,"protocolBinding":"JSONRPC"}],"additionalInterfaces":[{"url":<u>,"transport":"JSONRPC"}]}',
};
const fill = (shape: keyof typeof shapes, url: string, signatures = "") =>
  shapes[shape].replaceAll("<u>", JSON.stringify(url)).replace("<s>", signatures);
/** Lists that change are joined anew; only the space within them may go. */
const tidy = (text: string) => text.replace("[ {", "[{").replace("}, {", "},{");

const all = Object.keys(shapes) as (keyof typeof shapes)[];

describe("a card sends clients to the sidecar", () => {
  it.each(all)("%s: addresses on loopback become the request's, everything else keeps its bytes", (shape) => {
    const rewrite = rewriteCard(fill(shape, "http://localhost:8080/a2a/rpc"), derived);
    expect(rewrite).toEqual({
      text: tidy(fill(shape, "https://a.example/a2a/rpc")),
      changed: true,
      grpcInterfaces: 0,
      signaturesDropped: false,
      originDependent: true,
    });
  });

  it.each(all)("%s: with a public address it stands before every path", (shape) => {
    const rewrite = rewriteCard(fill(shape, "http://elsewhere:99/a2a/rpc?x=1"), fixed);
    expect(rewrite).toMatchObject({
      text: tidy(fill(shape, "https://public.example/agents/echo/a2a/rpc?x=1")),
      changed: true,
      originDependent: false,
    });
  });

  it.each(all)("%s: a changed card loses its signatures, an unchanged one keeps them", (shape) => {
    const signatures = ',"signatures":[{"protected":"p","signature":"s"}]';
    const changed = rewriteCard(fill(shape, "http://127.0.0.1:8080/", signatures), derived);
    expect(changed).toMatchObject({ text: tidy(fill(shape, "https://a.example/")), signaturesDropped: true });
    const none = fill(shape, "http://127.0.0.1:8080/", ',"signatures":[]');
    expect(rewriteCard(none, derived)).toMatchObject({
      text: tidy(fill(shape, "https://a.example/", ',"signatures":[]')),
      signaturesDropped: false,
    });
    const kept = fill(shape, "https://gateway.example/", signatures);
    expect(rewriteCard(kept, derived)).toMatchObject({ text: kept, changed: false, signaturesDropped: false });
  });

  it.each([
    ["localhost", "http://localhost:41241/", "https://a.example/"],
    ["a name below localhost", "http://x.localhost/", "https://a.example/"],
    ["any loopback address", "http://127.1.2.3/x", "https://a.example/x"],
    ["IPv6 loopback", "http://[::1]:80/x", "https://a.example/x"],
    ["all addresses", "http://0.0.0.0:8080/x", "https://a.example/x"],
    ["the agent's own host", "http://agent.local:8080/x", "https://a.example/x"],
    ["a bare host", "http://localhost:8080", "https://a.example"],
    ["a bare host with a query", "http://localhost:8080?x=1", "https://a.example/?x=1"],
    ["https", "https://localhost/x", "https://a.example/x"],
    ["another port of the agent's host", "http://agent.local:9090/x", "http://agent.local:9090/x"],
    ["a public host", "https://gateway.example/x", "https://gateway.example/x"],
    ["a host that only looks local", "http://127.0.0.1.example/x", "http://127.0.0.1.example/x"],
    ["another scheme", "ws://localhost/x", "ws://localhost/x"],
    ["no address at all", "localhost", "localhost"],
  ])("without a public address: %s", (_, url, expected) => {
    const text = rewriteCard(fill("1.0", url), derived).text;
    expect(
      (JSON.parse(text) as { supportedInterfaces: { url: string }[] }).supportedInterfaces.map((entry) => entry.url),
    ).toEqual([expected, expected]);
  });

  test("gRPC interfaces are counted and stay", () => {
    const card =
      '{"url":"http://localhost:1","preferredTransport":"GRPC","additionalInterfaces":[{"url":"http://localhost:1","transport":"GRPC"}]}';
    expect(rewriteCard(card, derived)).toEqual({
      text: card,
      changed: false,
      grpcInterfaces: 2,
      signaturesDropped: false,
      originDependent: false,
    });
    expect(
      rewriteCard('{"supportedInterfaces":[{"url":"localhost:1","protocolBinding":"GRPC"}]}', fixed),
    ).toMatchObject({ changed: false, grpcInterfaces: 1 });
  });

  test("a card that has the right addresses already is not changed", () => {
    const card = fill("1.0", "https://public.example/agents/echo/rpc");
    const pointed = rewriteCard(fill("1.0", "http://localhost/rpc"), fixed).text;
    expect(rewriteCard(card, { ...fixed, publicUrl: "https://public.example/" })).toMatchObject({
      text: card,
      changed: false,
    });
    expect(pointed).toBe(tidy(card));
  });

  it.each(["", "<html>", "[]", "null", '{"name":'])("what is no card stays: %s", (text) => {
    expect(rewriteCard(text, fixed)).toMatchObject({ text, changed: false });
    expect(cardSpeaks(text)).toEqual({ streaming: null, pushNotifications: null, native03: false, python03: false });
  });
});

describe("what a card says of its agent", () => {
  it.each([
    [
      "0.3",
      '{"url":"u","capabilities":{"streaming":true,"pushNotifications":false}}',
      { streaming: true, pushNotifications: false, native03: true, python03: false },
    ],
    [
      "0.3 on Python's SDK",
      '{"capabilities":{"streaming":true},"defaultInputModes":[],"defaultOutputModes":[],"description":"d","name":"n","skills":[],"url":"u","version":"1"}',
      { streaming: true, pushNotifications: null, native03: true, python03: true },
    ],
    [
      "0.3 on JavaScript's",
      '{"name":"n","description":"d","url":"u","version":"1","capabilities":{},"defaultInputModes":[],"defaultOutputModes":[],"skills":[]}',
      { streaming: null, pushNotifications: null, native03: true, python03: false },
    ],
    [
      "1.0",
      '{"supportedInterfaces":[{}],"capabilities":{"streaming":false}}',
      { streaming: false, pushNotifications: null, native03: false, python03: false },
    ],
    [
      "hybrid",
      '{"url":"u","supportedInterfaces":[{}]}',
      { streaming: null, pushNotifications: null, native03: false, python03: false },
    ],
    [
      "an empty list of interfaces",
      '{"supportedInterfaces":[]}',
      { streaming: null, pushNotifications: null, native03: true, python03: false },
    ],
  ])("%s", (_, card, expected) => {
    expect(cardSpeaks(card)).toEqual(expected);
  });

  test("its tag is a quoted digest", () => {
    expect(etagOf("{}", (text) => `d${text.length}`)).toBe('"d2"');
  });
});
