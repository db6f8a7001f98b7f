import { describe, expect, it, test } from "vitest";
import { endToEnd, forwardRequestHeaders, forwardResponseHeaders, turnHeaders } from "./headers.ts";

const endToEndFields = {
  authorization: "Bearer x",
  "a2a-version": "1.0",
  "x-a2a-extensions": "u",
  traceparent: "00-1-2-03",
  cookie: "a=b",
  "x-custom": ["1", "2"],
};

describe("RFC 9110 §7.6.1: fields of one hop stay on it", () => {
  it.each([
    "connection",
    "Keep-Alive",
    "proxy-authenticate",
    "Proxy-Authorization",
    "proxy-connection",
    "TE",
    "trailer",
    "Transfer-Encoding",
    "upgrade",
  ])("%s", (name) => {
    expect(endToEnd({ ...endToEndFields, [name]: "x" })).toEqual(endToEndFields);
  });

  it.each([
    ["one", "X-Hop", { "x-hop": "1" }],
    ["several", "close, x-hop ,X-OTHER", { "X-Hop": "1", "x-other": "2" }],
  ])("those that Connection names: %s", (_, connection, fields) => {
    expect(endToEnd({ ...endToEndFields, Connection: connection, ...fields })).toEqual(endToEndFields);
  });

  test("Connection in several lines", () => {
    expect(endToEnd({ connection: ["a", "b"], a: "1", b: "2", c: "3" })).toEqual({ c: "3" });
  });

  test("absent fields are absent, names are in lower case", () => {
    expect(endToEnd({ A: "1", b: undefined })).toEqual({ a: "1" });
  });
});

test("a forwarded request keeps its framing but not its host", () => {
  const kept = {
    ...endToEndFields,
    "content-length": "3",
    "content-type": "application/json",
    "content-encoding": "gzip",
  };
  expect(forwardRequestHeaders({ ...kept, Host: "h", Expect: "100-continue", connection: "close" })).toEqual(kept);
});

test("a response keeps everything end-to-end, and what describes its bytes only while they are the same", () => {
  const ofTheBody = {
    "content-length": "3",
    etag: '"x"',
    "content-encoding": "gzip",
    "last-modified": "x",
    digest: "x",
  };
  const kept = {
    "content-type": "text/html",
    "www-authenticate": "Bearer",
    "retry-after": "3",
    "set-cookie": ["a", "b"],
  };
  expect(forwardResponseHeaders({ ...kept, ...ofTheBody, Connection: "close" })).toEqual({ ...kept, ...ofTheBody });
  expect(forwardResponseHeaders({ ...kept, ...ofTheBody }, { bodyChanged: true })).toEqual(kept);
});

test("a Turn keeps who asked and how, not what described the one body", () => {
  const dropped = {
    host: "h",
    "content-length": "3",
    "Content-Type": "application/json",
    "content-encoding": "gzip",
    accept: "text/event-stream",
    "Accept-Encoding": "gzip",
    "Last-Event-ID": "7",
    "if-none-match": '"x"',
    expect: "100-continue",
    connection: "keep-alive",
  };
  expect(turnHeaders({ ...endToEndFields, ...dropped })).toEqual(endToEndFields);
});
