/** One HTTP call to the API server, and what its answers mean. */
import { request } from "undici";
import { ClusterError, type ClusterFault } from "../../ports/cluster.ts";
import type { Connection } from "./connection.ts";

/** A call. */
export interface RestCall {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  query?: Record<string, string | undefined>;
  contentType?: string;
  body?: unknown;
  signal?: AbortSignal;
}

/** Nothing the operator asks for takes longer; watches are opened with {@link openStream}. */
const callTimeoutMs = 30_000;

/** Calls and parses the answer. Rejects with {@link ClusterError} on anything but success. */
export async function call<T>(connection: Connection, options: RestCall): Promise<T> {
  const timeout = AbortSignal.timeout(callTimeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  const { statusCode, body } = await send(connection, options, signal);
  const text = await body.text().catch((cause: unknown) => {
    throw new ClusterError("unavailable", `${options.method} ${options.path}: the answer broke off`, { cause });
  });
  if (statusCode >= 400) throw toError(statusCode, text, options);
  return JSON.parse(text) as T;
}

/** Opens a streamed answer; the caller reads or destroys the body. */
export async function openStream(connection: Connection, options: RestCall): Promise<AsyncIterable<Buffer>> {
  const { statusCode, body } = await send(connection, options, options.signal);
  if (statusCode >= 400) throw toError(statusCode, await body.text(), options);
  return body as AsyncIterable<Buffer>;
}

async function send(
  connection: Connection,
  options: RestCall,
  signal: AbortSignal | undefined,
): Promise<Awaited<ReturnType<typeof request>>> {
  const query = Object.entries(options.query ?? {}).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  );
  const search = query.length === 0 ? "" : `?${new URLSearchParams(query).toString()}`;
  try {
    return await request(`${connection.origin}${options.path}${search}`, {
      method: options.method,
      dispatcher: connection.dispatcher,
      headers: {
        accept: "application/json",
        "user-agent": "durable-agent-operator",
        ...(options.body === undefined ? {} : { "content-type": options.contentType ?? "application/json" }),
        ...(await connection.authorization()),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (cause) {
    throw new ClusterError("unavailable", `${options.method} ${options.path}: ${describe(cause)}`, { cause });
  }
}

/** The fault of an HTTP status; 401 counts as forbidden and everything unknown as unavailable, which is tried again. */
export function faultOf(status: number): ClusterFault {
  switch (status) {
    case 401:
    case 403:
      return "forbidden";
    case 404:
      return "notFound";
    case 409:
      return "conflict";
    case 410:
      return "gone";
    case 400:
    case 405:
    case 415:
    case 422:
      return "invalid";
    case 429:
      return "tooManyRequests";
    default:
      return "unavailable";
  }
}

function toError(status: number, text: string, { method, path }: RestCall): ClusterError {
  let message = text.slice(0, 500);
  try {
    message = (JSON.parse(text) as { message?: string }).message ?? message;
  } catch {
    // A proxy in between may answer with anything.
  }
  return new ClusterError(faultOf(status), `${method} ${path}: ${status} ${message}`);
}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
