/**
 * The relay inside one process: for a single instance without NATS, and for tests in which several instances share a
 * hub and messages are lost, repeated and late.
 */
import type { Nudge, Relay, RelayedEvent, RelaySubscription, TurnNews } from "../../ports/relay.ts";

/** One delivery from one relay of the hub to another. */
export interface RelayMessage {
  subject: string;
  from: Relay;
  to: Relay;
  value: unknown;
}

/** What becomes of a delivery: one entry per arrival, its delay in ms (0 = at once). Empty = lost. */
export type DeliveryPlan = (message: RelayMessage) => readonly number[];

interface Member {
  relay: MemoryRelay;
  handler: (value: unknown) => void;
}

/** What the relays of one agent share. */
export class MemoryRelayHub {
  /** Decides about deliveries between two relays; null = each arrives once, at once. A relay always reaches itself. */
  plan: DeliveryPlan | null = null;
  readonly #members = new Map<string, Set<Member>>();

  /** Used by the relays. */
  join(subject: string, member: Member): () => void {
    const members = this.#members.get(subject) ?? new Set();
    this.#members.set(subject, members.add(member));
    return () => {
      members.delete(member);
      if (members.size === 0 && this.#members.get(subject) === members) this.#members.delete(subject);
    };
  }

  /** Used by the relays. */
  publish(from: MemoryRelay, subject: string, value: unknown): void {
    for (const member of this.#members.get(subject) ?? []) {
      const delays = member.relay === from ? [0] : this.#delays({ subject, from, to: member.relay, value });
      for (const delayMs of delays) {
        if (delayMs === 0) queueMicrotask(() => this.#deliver(subject, member, value));
        else setTimeout(() => this.#deliver(subject, member, value), delayMs).unref();
      }
    }
  }

  #delays(message: RelayMessage): readonly number[] {
    if (!message.from.connected || !message.to.connected) return [];
    return this.plan?.(message) ?? [0];
  }

  #deliver(subject: string, member: Member, value: unknown): void {
    if (this.#members.get(subject)?.has(member) !== true) return;
    try {
      member.handler(value);
    } catch (error) {
      member.relay.report(error);
    }
  }
}

export interface MemoryRelayOptions {
  /** False where other instances exist that this hub does not reach: rows are then polled faster. Default true. */
  reachesAll?: boolean;
  log?: { warn(fields: Record<string, unknown>, message: string): void };
}

export class MemoryRelay implements Relay {
  readonly #hub: MemoryRelayHub;
  readonly #listeners: (() => void)[] = [];
  readonly #leave = new Set<() => void>();
  readonly #log: MemoryRelayOptions["log"];
  #connected: boolean;

  constructor(hub: MemoryRelayHub, options: MemoryRelayOptions = {}) {
    this.#hub = hub;
    this.#log = options.log;
    this.#connected = options.reachesAll ?? true;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Cuts this relay off from the others, or brings it back. */
  setConnected(connected: boolean): void {
    const back = connected && !this.#connected;
    this.#connected = connected;
    if (back) for (const listener of this.#listeners) listener();
  }

  /** Used by the hub: a subscriber that throws harms nobody else. */
  report(error: unknown): void {
    this.#log?.warn({ err: error }, "a relay subscriber threw");
  }

  publishEvent(event: RelayedEvent): void {
    this.#hub.publish(this, `task ${event.taskId}`, event);
  }

  publishTurn(news: TurnNews): void {
    this.#hub.publish(this, `turn ${news.turnId}`, news);
  }

  nudge(instanceId: string, nudge: Nudge): void {
    this.#hub.publish(this, `instance ${instanceId}`, nudge);
  }

  publishClaimable(): void {
    this.#hub.publish(this, "claimable", undefined);
  }

  joinTask(taskId: string, onEvent: (event: RelayedEvent) => void): RelaySubscription {
    return this.#join(`task ${taskId}`, onEvent);
  }

  joinTurn(turnId: string, onNews: (news: TurnNews) => void): RelaySubscription {
    return this.#join(`turn ${turnId}`, onNews);
  }

  joinInstance(instanceId: string, onNudge: (nudge: Nudge) => void): RelaySubscription {
    return this.#join(`instance ${instanceId}`, onNudge);
  }

  joinClaimable(onClaimable: () => void): RelaySubscription {
    return this.#join("claimable", onClaimable);
  }

  onReconnect(listener: () => void): void {
    this.#listeners.push(listener);
  }

  close(): Promise<void> {
    for (const leave of this.#leave) leave();
    this.#listeners.length = 0;
    return Promise.resolve();
  }

  #join<T>(subject: string, handler: (value: T) => void): RelaySubscription {
    const leaveHub = this.#hub.join(subject, { relay: this, handler: (value) => handler(value as T) });
    const leave = (): void => {
      this.#leave.delete(leave);
      leaveHub();
    };
    this.#leave.add(leave);
    return { joined: Promise.resolve(), leave };
  }
}
