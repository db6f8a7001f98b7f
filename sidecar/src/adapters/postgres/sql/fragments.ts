/** Conditions several statements share, so that one rule has one text. */
import { Prisma } from "../../../generated/client.ts";

/** The states nothing leaves (P6). */
export const terminalStates = Prisma.sql`('completed', 'failed', 'canceled', 'rejected')`;

/** Turns that are at the agent, or on their way there. */
export const inFlightStates = Prisma.sql`('journaled', 'dispatched', 'bound')`;

/** Turns that have not ended. Spelt as the predicates of the partial indexes are. */
export const liveStates = Prisma.sql`('queued', 'journaled', 'dispatched', 'bound')`;

/**
 * Whether the lease of `instance i` runs. One that ends further ahead than a lease can was written before the server's clock
 * went back: its instance would look alive until the clock has caught up. Twice its length, because a statement that waited
 * for a lock reads rows that are younger than its own `now()`.
 */
export const leaseRuns = Prisma.sql`
  (i.lease_until > now() and (i.lease_until <= now() + 2 * i.lease_ms * interval '1 millisecond') is not false)`;

/** Whether `instance i` is given work: its lease runs and it does not drain. */
export const isAlive = Prisma.sql`(${leaseRuns} and not i.draining)`;
