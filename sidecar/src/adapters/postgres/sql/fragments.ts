/** Conditions several statements share, so that one rule has one text. */
import { Prisma } from "../../../generated/client.ts";

/** The states nothing leaves (P6). */
export const terminalStates = Prisma.sql`('completed', 'failed', 'canceled', 'rejected')`;

/** Turns that are at the agent, or on their way there. */
export const inFlightStates = Prisma.sql`('journaled', 'dispatched', 'bound')`;

/** Turns that have not ended. Spelt as the predicates of the partial indexes are. */
export const liveStates = Prisma.sql`('queued', 'journaled', 'dispatched', 'bound')`;
