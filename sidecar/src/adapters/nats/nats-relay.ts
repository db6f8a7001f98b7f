/**
 * The relay over core NATS. Subscriptions belong to the relay, not to a connection: they are kept here and made again on
 * every connection. While NATS is away publishing reaches this process only, and nothing is kept for later: whoever was
 * not reached reads the record (P11).
 */
import { headers, type Msg, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import type { Nudge, Relay, RelayedEvent, RelaySubscription, TurnNews } from "../../ports/relay.ts";
import { flushWithin, openNatsLink, type NatsEndpoint, type NatsLink, type NatsLog } from "./connection.ts";
import { eventHeaders, readEventMessage, utf8 } from "./event-message.ts";
import { Subjects, type KeyedSubject } from "./subjects.ts";

export interface NatsRelayOptions extends NatsEndpoint {
  /** Scope of every subject. */
  agentKey: string;
  /** Payloads above this many bytes are relayed as a wake-up. Default 65536; the server's own limit also holds. */
  maxPayloadBytes?: number;
  log: NatsLog;
}

/** Connects in the background and for ever; returns at once. */
export function openNatsRelay(options: NatsRelayOptions): Relay {
  return new NatsRelay(options);
}

const JOIN_TIMEOUT_MS = 250;
/** Room for headers and protocol below the server's max_payload. */
const HEADER_ROOM_BYTES = 1_024;
/** Bytes published and not confirmed as read by the server, above which publishing stops until it reads on. */
const MAX_UNCONFIRMED_BYTES = 8 * 1024 * 1024;
const CONFIRM_EVERY_BYTES = 512 * 1024;
const KEY_HEADER = "Da-Key";

/** Handlers of one subject here, and their subscription on the current connection. */
interface Membership {
  keyed: KeyedSubject;
  /** Turns a message of this subject into calls of the handlers; false = not for us. */
  receive: (message: Msg) => boolean;
  handlers: Set<(value: unknown) => void>;
  subscription: Subscription | null;
}

class NatsRelay implements Relay {
  readonly #subjects: Subjects;
  readonly #link: NatsLink;
  readonly #log: NatsLog;
  readonly #maxPayloadBytes: number;
  readonly #memberships = new Map<string, Membership>();
  readonly #listeners: (() => void)[] = [];
  #connection: NatsConnection | null = null;
  #joining: Promise<void> | null = null;
  #unconfirmedBytes = 0;
  #confirming = false;
  #toConfirm = 0;

  constructor(options: NatsRelayOptions) {
    this.#subjects = new Subjects(options.agentKey);
    this.#maxPayloadBytes = options.maxPayloadBytes ?? 65_536;
    this.#log = options.log;
    this.#link = openNatsLink(options, options.log, (connection) => this.#up(connection));
  }

  get connected(): boolean {
    return this.#link.current !== null;
  }

  publishEvent(event: RelayedEvent): void {
    const keyed = this.#subjects.task(event.taskId);
    this.#tellHere(keyed.subject, event);
    const connection = this.#link.current;
    if (connection === null) return;
    const limit = Math.min(this.#maxPayloadBytes, (connection.info?.max_payload ?? Infinity) - HEADER_ROOM_BYTES);
    const body = event.payload !== null && fits(event.payload, limit) ? event.payload : null;
    this.#publish(connection, {
      subject: keyed.subject,
      body: body ?? "",
      headers: eventHeaders(keyed.key, event, body === null),
    });
  }

  publishTurn(news: TurnNews): void {
    this.#tell(this.#subjects.turn(news.turnId), news, "");
  }

  nudge(instanceId: string, nudge: Nudge): void {
    this.#tell(this.#subjects.instance(instanceId), nudge, JSON.stringify(nudge));
  }

  publishClaimable(): void {
    this.#tell(this.#subjects.claimable(), undefined, "");
  }

  joinTask(taskId: string, onEvent: (event: RelayedEvent) => void): RelaySubscription {
    const keyed = this.#subjects.task(taskId);
    return this.#join(keyed, onEvent, (message) => readEventMessage(keyed.key, taskId, message));
  }

  joinTurn(turnId: string, onNews: (news: TurnNews) => void): RelaySubscription {
    return this.#join(this.#subjects.turn(turnId), onNews, () => ({ turnId }));
  }

  joinInstance(instanceId: string, onNudge: (nudge: Nudge) => void): RelaySubscription {
    return this.#join(this.#subjects.instance(instanceId), onNudge, readNudge);
  }

  joinClaimable(onClaimable: () => void): RelaySubscription {
    return this.#join(this.#subjects.claimable(), onClaimable, () => undefined);
  }

  onReconnect(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.#listeners.length = 0;
    await this.#link.close();
    this.#memberships.clear();
  }

  /** A message whose key is checked by header; `here` is what this process's own subscriptions get. */
  #tell(keyed: KeyedSubject, here: unknown, body: string): void {
    this.#tellHere(keyed.subject, here);
    const connection = this.#link.current;
    if (connection === null) return;
    const built = headers();
    built.append(KEY_HEADER, keyed.key);
    this.#publish(connection, { subject: keyed.subject, body, headers: built });
  }

  #tellHere(subject: string, value: unknown): void {
    const membership = this.#memberships.get(subject);
    if (membership === undefined) return;
    for (const handler of membership.handlers) queueMicrotask(() => this.#call(membership, handler, value));
  }

  /** A handler that has left meanwhile hears nothing; one that throws harms nobody else. */
  #call(membership: Membership, handler: (value: unknown) => void, value: unknown): void {
    if (!membership.handlers.has(handler)) return;
    try {
      handler(value);
    } catch (error) {
      this.#log.warn({ err: error }, "a relay subscriber threw");
    }
  }

  #publish(
    connection: NatsConnection,
    message: { subject: string; body: string; headers: ReturnType<typeof headers> },
  ): void {
    if (this.#unconfirmedBytes > MAX_UNCONFIRMED_BYTES) return;
    try {
      connection.publish(message.subject, message.body, { headers: message.headers });
    } catch (error) {
      // Closed between the look and the call, or above the server's limit: readers poll.
      this.#log.warn({ reason: error instanceof Error ? error.name : "unknown" }, "publishing to NATS failed");
      return;
    }
    const bytes = message.body.length + HEADER_ROOM_BYTES / 4;
    this.#unconfirmedBytes += bytes;
    this.#toConfirm += bytes;
    if (this.#toConfirm >= CONFIRM_EVERY_BYTES && !this.#confirming) this.#confirm(connection);
  }

  /** A server that reads nothing would otherwise fill this process's memory until its pings time out. */
  #confirm(connection: NatsConnection): void {
    const bytes = this.#toConfirm;
    this.#toConfirm = 0;
    this.#confirming = true;
    const settle = (): void => {
      if (connection !== this.#connection) return;
      this.#unconfirmedBytes -= bytes;
      this.#confirming = false;
      if (this.#toConfirm >= CONFIRM_EVERY_BYTES) this.#confirm(connection);
    };
    connection.flush().then(settle, settle);
  }

  #join<T>(keyed: KeyedSubject, handler: (value: T) => void, read: (message: Msg) => T | null): RelaySubscription {
    const membership = this.#memberships.get(keyed.subject) ?? this.#found(keyed, read);
    // One function may be joined twice; each subscription is left on its own.
    const member = (value: unknown): void => handler(value as T);
    membership.handlers.add(member);
    return {
      joined: this.#link.current === null ? Promise.resolve() : this.#joinedSoon(this.#link.current),
      leave: () => {
        if (!membership.handlers.delete(member) || membership.handlers.size > 0) return;
        if (this.#memberships.get(keyed.subject) === membership) this.#memberships.delete(keyed.subject);
        membership.subscription?.unsubscribe();
      },
    };
  }

  #found<T>(keyed: KeyedSubject, read: (message: Msg) => T | null): Membership {
    const membership: Membership = {
      keyed,
      handlers: new Set(),
      subscription: null,
      receive: (message) => {
        const value = read(message);
        if (value === null) return false;
        for (const handler of membership.handlers) this.#call(membership, handler, value);
        return true;
      },
    };
    this.#memberships.set(keyed.subject, membership);
    if (this.#connection !== null) this.#subscribe(this.#connection, membership);
    return membership;
  }

  #subscribe(connection: NatsConnection, membership: Membership): void {
    if (connection.isClosed()) return;
    membership.subscription = connection.subscribe(membership.keyed.subject, {
      callback: (error, message) => {
        if (error !== null) this.#log.warn({ reason: error.name }, "a NATS subscription was refused");
        else if (isForeign(message, membership.keyed.key) || !membership.receive(message)) {
          this.#log.warn({ subject: membership.keyed.subject }, "a NATS message with a foreign key was dropped");
        }
      },
    });
  }

  /** All joins of one tick share a round trip. */
  #joinedSoon(connection: NatsConnection): Promise<void> {
    this.#joining ??= Promise.resolve().then(() => {
      this.#joining = null;
      return flushWithin(connection, JOIN_TIMEOUT_MS);
    });
    return this.#joining;
  }

  async #up(connection: NatsConnection): Promise<void> {
    this.#connection = connection;
    this.#unconfirmedBytes = 0;
    this.#toConfirm = 0;
    this.#confirming = false;
    for (const membership of this.#memberships.values()) this.#subscribe(connection, membership);
    await flushWithin(connection, CONNECT_FLUSH_MS);
    for (const listener of this.#listeners) listener();
  }
}

const CONNECT_FLUSH_MS = 2_000;

/** Events carry their key in the dedupe id, everything else in a header of its own. */
function isForeign(message: Msg, key: string): boolean {
  const carried = message.headers?.get(KEY_HEADER) ?? "";
  return carried !== "" && carried !== key;
}

function readNudge(message: Msg): Nudge | null {
  try {
    const { turnId, cancelTaskId } = JSON.parse(utf8(message.data)) as Record<string, unknown>;
    return {
      ...(typeof turnId === "string" ? { turnId } : {}),
      ...(typeof cancelTaskId === "string" ? { cancelTaskId } : {}),
    };
  } catch {
    return null;
  }
}

/** Whether the text takes at most so many bytes as UTF-8. */
function fits(text: string, maxBytes: number): boolean {
  if (text.length > maxBytes) return false;
  return text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes;
}
