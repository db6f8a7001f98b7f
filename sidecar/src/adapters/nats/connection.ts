/**
 * Holds one NATS connection for ever. The client's own reconnect is off: each attempt here is a fresh connection that
 * reads the URL, the credentials and the CA file again, and nothing published while NATS is away piles up in a client
 * buffer. Whoever subscribes does so again on every new connection (`onUp`).
 */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { connect, credsAuthenticator, type ConnectionOptions, type NatsConnection } from "@nats-io/transport-node";

export interface NatsLog {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
}

export interface NatsEndpoint {
  /** `nats://` or `tls://` URLs separated by commas; user and password, or a token, may stand in the first one. */
  url: () => string;
  credsFile?: string | undefined;
  caFile?: string | undefined;
  /** Shown in the server's connection list. */
  name: string;
}

export interface NatsLink {
  /** The connection, once `onUp` has finished for it; null while NATS is away. */
  readonly current: NatsConnection | null;
  /** Stops and disconnects; published messages are flushed within 250 ms. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 2_000;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 1_000;
/** A server that falls silent without closing is noticed after three of these. */
const PING_INTERVAL_MS = 3_000;
const FLUSH_TIMEOUT_MS = 250;

/** Starts connecting and returns. `onUp` has to make every subscription on the new connection; it must not throw. */
export function openNatsLink(
  endpoint: NatsEndpoint,
  log: NatsLog,
  onUp: (connection: NatsConnection) => Promise<void>,
): NatsLink {
  const closing = new AbortController();
  let current: NatsConnection | null = null;
  let attempts = 0;

  const holdOnce = async (): Promise<void> => {
    const connection = await connect(connectionOptions(endpoint));
    try {
      await onUp(connection);
      if (connection.isClosed()) throw new Error("the connection broke while subscribing");
      if (attempts > 0) log.info({ server: connection.getServer() }, "NATS is connected again");
      attempts = 0;
      current = connection;
      await Promise.race([connection.closed(), aborted(closing.signal)]);
      if (!closing.signal.aborted) log.warn({}, "NATS is away, polling the record instead");
    } finally {
      current = null;
      if (closing.signal.aborted) await flushWithin(connection, FLUSH_TIMEOUT_MS);
      await connection.close();
    }
  };

  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await holdOnce();
      } catch (error) {
        if (attempts === 0) log.warn({ reason: reasonOf(error) }, "NATS cannot be reached, trying again until it can");
      }
      attempts += 1;
      const backoffMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(attempts - 1, 10));
      await delay(backoffMs * (0.5 + Math.random() / 2), undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  const done = run();

  return {
    get current() {
      return current?.isClosed() === false ? current : null;
    },
    close: () => {
      closing.abort();
      return done;
    },
  };
}

/** Resolves when the server has seen everything sent before, when the time is over, or when the connection broke. */
export async function flushWithin(connection: NatsConnection, timeoutMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([connection.isClosed() ? undefined : connection.flush().catch(() => undefined), late]);
  clearTimeout(timer);
}

function connectionOptions(endpoint: NatsEndpoint): ConnectionOptions {
  const { servers, login, tls } = parseNatsUrl(endpoint.url());
  const { credsFile, caFile } = endpoint;
  return {
    servers,
    ...login,
    name: endpoint.name,
    // What this instance publishes reaches its own subscriptions in the process.
    noEcho: true,
    reconnect: false,
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...(credsFile === undefined ? {} : { authenticator: credsAuthenticator(() => readFileSync(credsFile)) }),
    ...(tls || caFile !== undefined ? { tls: caFile === undefined ? {} : { caFile } } : {}),
  };
}

/** Servers without credentials, and the credentials of the first URL that has some: the client takes them apart only. */
export function parseNatsUrl(text: string): {
  servers: string[];
  login: { user?: string; pass?: string; token?: string };
  tls: boolean;
} {
  const urls = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map((part) => new URL(part.includes("://") ? part : `nats://${part}`));
  const withLogin = urls.find((url) => url.username !== "");
  return {
    servers: urls.map((url) => (url.port === "" ? url.hostname : url.host)),
    login: withLogin === undefined ? {} : loginOf(withLogin),
    tls: urls.some((url) => url.protocol === "tls:"),
  };
}

function loginOf(url: URL): { user?: string; pass?: string; token?: string } {
  const name = decodeURIComponent(url.username);
  return url.password === "" ? { token: name } : { user: name, pass: decodeURIComponent(url.password) };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The class and code of an error: its message may hold a URL with credentials. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const code = "code" in error && typeof error.code === "string" ? error.code : null;
  const cause = error.cause instanceof Error && "code" in error.cause ? String(error.cause.code) : null;
  return [error.name, code ?? cause].filter((part) => part !== null).join(" ");
}
