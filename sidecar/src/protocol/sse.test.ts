import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { encodeSse, keepAliveComment, SseDecoder, type SseEvent } from "./sse.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function decode(chunks: Uint8Array[]): SseEvent[] {
  const decoder = new SseDecoder();
  return [...chunks.flatMap((chunk) => decoder.push(chunk)), ...decoder.end()];
}

const data = (text: string, name = "message"): SseEvent => ({ name, data: text });

/** Streams as SDK servers send them, and as the standard allows them. */
const streams: [name: string, stream: string, events: SseEvent[]][] = [
  ["JavaScript", 'data: {"a":1}\n\ndata: {"b":"é😀"}\n\n', [data('{"a":1}'), data('{"b":"é😀"}')]],
  ["Python, CRLF and pings", ': ping - 2026\r\n\r\ndata: {"a":1}\r\n\r\ndata: 2\r\n\r\n', [data('{"a":1}'), data("2")]],
  ["Go, id before data", "id: 8f\ndata: 1\n\n: keep-alive\n\nid: 9\ndata: 2\n\n", [data("1"), data("2")]],
  ["Java, id behind data", "data: 1\nid: 0\n\ndata: 2\nid: 1\n\n", [data("1"), data("2")]],
  ["CR alone", "data: 1\r\rdata: 2\r\r", [data("1"), data("2")]],
  ["line ends mixed", "data: 1\r\n\ndata: 2\n\rdata: 3\r\r\n", [data("1"), data("2"), data("3")]],
  ["several data lines", "data: {\r\ndata: }\r\n\r\n", [data("{\n}")]],
  ["a named event", "event: error\ndata: {}\n\ndata: 1\n\n", [data("{}", "error"), data("1")]],
  ["no space behind the colon", "data:1\n\ndata:  2\n\n", [data("1"), data(" 2")]],
  ["no blank line at the end", "data: 1\n\ndata: 2\n", [data("1"), data("2")]],
  ["no line end at the end", "data: 1\n\ndata: 2", [data("1"), data("2")]],
  ["a lone CR at the end", "data: 1\n\ndata: 2\r", [data("1"), data("2")]],
  ["a byte order mark", "\ufeffdata: 1\n\n", [data("1")]],
  [
    "fields nobody knows, and an event without data",
    "retry: 5\nfoo: bar\nda: no\ndata: 1\n\nevent: x\n\ndata: 2\n\n",
    [data("1"), data("2")],
  ],
  ["nothing", "", []],
  ["comments only", ": a\n\n: b\n\n", []],
];

describe("event streams are read alike however they are cut", () => {
  it.each(streams)("%s: in one piece", (_, stream, events) => {
    expect(decode([bytes(stream)])).toEqual(events);
  });

  it.each(streams)("%s: byte by byte", (_, stream, events) => {
    expect(decode(Array.from(bytes(stream), (byte) => Uint8Array.of(byte)))).toEqual(events);
  });

  it.each(streams)("%s: in two pieces, cut at every byte", (_, stream, events) => {
    const whole = bytes(stream);
    for (let at = 0; at <= whole.length; at++) {
      expect(decode([whole.subarray(0, at), whole.subarray(at)])).toEqual(events);
    }
  });

  test("any stream, cut anywhere any number of times", () => {
    const line = fc.oneof(
      fc.constantFrom(": c", "id: 1", "event: error", "retry: 1", "data", "data:", ""),
      fc.string({ unit: "grapheme", maxLength: 8 }).map((text) => `data: ${text.replace(/[\r\n]/g, "")}`),
    );
    const stream = fc
      .array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r", "\n\n", "\r\n\r\n")), { maxLength: 12 })
      .map((lines) => bytes(lines.map(([text, end]) => text + end).join("")));
    fc.assert(
      fc.property(stream, fc.array(fc.nat(200), { maxLength: 8 }), (whole, cuts) => {
        const at = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
        const chunks = at.slice(1).map((end, index) => whole.subarray(at[index], end));
        expect(decode(chunks)).toEqual(decode([whole]));
      }),
      { numRuns: 500 },
    );
  });
});

describe("what is written reads back", () => {
  test("data on one line, with its id and name", () => {
    expect(encodeSse({ id: "7", event: "error", data: '{"a":1}' })).toBe('id: 7\nevent: error\ndata: {"a":1}\n\n');
    expect(encodeSse({ data: "1" })).toBe("data: 1\n\n");
  });

  test("any data, whatever line breaks it has", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "\n", "\r", "é", " ", ":", "\u2028") }), (text) => {
        const [event] = decode([bytes(keepAliveComment + encodeSse({ id: "1", data: text }))]);
        expect(event).toEqual(data(text.replace(/\r\n|\r/g, "\n")));
      }),
    );
  });
});

test("events come out with the bytes that complete them, not later", () => {
  const decoder = new SseDecoder();
  expect(decoder.push(bytes("data: 1\n"))).toEqual([]);
  expect(decoder.push(bytes("\ndata: 2\n\nda"))).toEqual([data("1"), data("2")]);
  expect(decoder.push(bytes("ta: 3\n\n"))).toEqual([data("3")]);
  expect(decoder.end()).toEqual([]);
});

test("an event of ten megabytes in small chunks is joined once", () => {
  const chunk = bytes("x".repeat(1024));
  const decoder = new SseDecoder();
  decoder.push(bytes("data: "));
  const started = process.hrtime.bigint();
  for (let n = 0; n < 10_000; n++) decoder.push(chunk);
  expect(decoder.push(bytes("\n\n"))[0]?.data.length).toBe(10_240_000);
  expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(2000);
});
