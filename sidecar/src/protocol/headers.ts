export type Headers = Record<string, string | string[]>;
/** Hop-by-hop fields and those named by Connection removed (RFC 9110 §7.6.1). Names come out in lower case. */
export function endToEnd(headers: Record<string, string | string[] | undefined>): Headers { throw new Error("unbuilt"); }
/** For a request whose body is forwarded as it came: end-to-end fields without host and expect. */
export function forwardRequestHeaders(headers: Record<string, string | string[] | undefined>): Headers { throw new Error("unbuilt"); }
/** bodyChanged drops content-length, content-encoding and validators. */
export function forwardResponseHeaders(headers: Record<string, string | string[] | undefined>, options?: { bodyChanged?: boolean }): Headers { throw new Error("unbuilt"); }
/** What a Turn keeps of its request for the calls made on its behalf. */
export function turnHeaders(headers: Record<string, string | string[] | undefined>): Headers { throw new Error("unbuilt"); }
