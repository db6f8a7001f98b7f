/** Which header fields travel on, and which belong to one connection or one body. */

/** Fields by lower-case name. */
export type Headers = Record<string, string | string[]>;

/** As Node gives them: a field may be undefined. */
export type IncomingHeaders = Record<string, string | string[] | undefined>;

/** RFC 9110 §7.6.1, with the older names that intermediaries still meet. `te` and `trailer` speak of this hop's framing. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What describes the bytes of one body, and is wrong for another. */
const ofTheBody: ReadonlySet<string> = new Set([
  "content-length",
  "content-encoding",
  "content-md5",
  "content-digest",
  "repr-digest",
  "digest",
  "etag",
  "last-modified",
  "content-range",
  "accept-ranges",
]);

/** What the calls made for a Turn must not repeat: they have their own body, host, encoding, conditions and cursor. */
const notOfTheTurn: ReadonlySet<string> = new Set([
  "host",
  "expect",
  "content-length",
  "content-encoding",
  "content-type",
  "content-md5",
  "content-digest",
  "digest",
  "accept",
  "accept-encoding",
  "last-event-id",
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "range",
]);

/** End-to-end fields: without the hop-by-hop ones and those that `Connection` names (RFC 9110 §7.6.1). */
export function endToEnd(headers: IncomingHeaders): Headers {
  const named = connectionOptions(headers);
  return keep(headers, (name) => !hopByHop.has(name) && !named.has(name));
}

/** Of a request whose body is forwarded as it came. `host` is the next hop's, `expect` was answered on this one. */
export function forwardRequestHeaders(headers: IncomingHeaders): Headers {
  return keep(endToEnd(headers), (name) => name !== "host" && name !== "expect");
}

/** Of a response. `bodyChanged` also drops the length, encoding, digests and validators of the original body. */
export function forwardResponseHeaders(headers: IncomingHeaders, options?: { bodyChanged?: boolean }): Headers {
  const kept = endToEnd(headers);
  return options?.bodyChanged === true ? keep(kept, (name) => !ofTheBody.has(name)) : kept;
}

/**
 * What a Turn keeps of its request for the calls made on its behalf: credentials, versions, extensions, tracing and
 * whatever else the agent may read; not what describes the one body or the one connection.
 */
export function turnHeaders(headers: IncomingHeaders): Headers {
  return keep(endToEnd(headers), (name) => !notOfTheTurn.has(name));
}

function keep(headers: IncomingHeaders, keeps: (name: string) => boolean): Headers {
  const kept: Headers = {};
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (value === undefined || !keeps(lower)) continue;
    kept[lower] = value;
  }
  return kept;
}

function connectionOptions(headers: IncomingHeaders): ReadonlySet<string> {
  const options = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.toLowerCase() !== "connection") continue;
    for (const option of String(value).split(",")) options.add(option.trim().toLowerCase());
  }
  return options;
}
