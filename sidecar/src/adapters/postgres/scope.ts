import type { PrismaClient } from "../../generated/client.ts";
import { StoreError } from "../../ports/task-store.ts";
import { storeErrorOf } from "./sqlstate.ts";

/** What every statement of a store shares. */
export interface Scope {
  prisma: PrismaClient;
  /** AGENT_KEY: scope of every row. */
  agent: string;
  /** How long a turn's dedupe key holds after its end (P7). */
  idempotencyWindowSeconds: number;
}

/** Runs a statement that changes nothing; a lost reply is no doubt, only a failure. */
export async function reading<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw storeErrorOf(error, false);
  }
}

/** Runs a statement that changes something. */
export async function writing<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw storeErrorOf(error, true);
  }
}

/** How often a statement that judged by an old picture runs again; each time somebody else got ahead. */
export const MOST_ROUNDS = 50;

/** Runs until the result is something else than `again`. */
export async function untilSettled<T>(what: string, run: () => Promise<T | "again">): Promise<T> {
  for (let round = 1; round <= MOST_ROUNDS; round += 1) {
    const result = await run();
    if (result !== "again") return result;
  }
  throw new StoreError("conflict", `${what}: overtaken ${MOST_ROUNDS} times`);
}
