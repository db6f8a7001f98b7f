/**
 * The relay inside one process: for a single instance without NATS, and for tests in which several instances share a
 * hub and messages are lost, repeated and late.
 */
import type { Relay } from "../../ports/relay.ts";

/** What becomes of one delivery: not at all, once, several times; each after a delay (ms, 0 = at once). */
export type DeliveryPlan = readonly number[];

export interface RelayMessage {
  subject: string;
  from: Relay;
  to: Relay;
}

export class MemoryRelayHub {
  /** Decides about each delivery between two relays of the hub; absent = once, at once. */
  plan: ((message: RelayMessage) => DeliveryPlan) | null = null;
}

export interface MemoryRelayOptions {
  /** False where other instances exist that this hub does not reach: readers then poll the record faster. Default true. */
  reachesAll?: boolean;
}

export class MemoryRelay implements Relay {
  readonly connected: boolean = true;
  constructor(_hub: MemoryRelayHub, _options?: MemoryRelayOptions) {}
  publishEvent(): void {
    throw new Error("unbuilt");
  }
  publishTurn(): void {
    throw new Error("unbuilt");
  }
  nudge(): void {
    throw new Error("unbuilt");
  }
  publishClaimable(): void {
    throw new Error("unbuilt");
  }
  joinTask(): ReturnType<Relay["joinTask"]> {
    throw new Error("unbuilt");
  }
  joinTurn(): ReturnType<Relay["joinTurn"]> {
    throw new Error("unbuilt");
  }
  joinInstance(): ReturnType<Relay["joinInstance"]> {
    throw new Error("unbuilt");
  }
  joinClaimable(): ReturnType<Relay["joinClaimable"]> {
    throw new Error("unbuilt");
  }
  onReconnect(): void {
    throw new Error("unbuilt");
  }
  close(): Promise<void> {
    throw new Error("unbuilt");
  }
}
