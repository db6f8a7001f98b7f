// Waiting for a condition with a deadline.

import { setTimeout as delay } from "node:timers/promises";

/** Settings of `waitUntil`. */
export interface WaitSettings {
  readonly deadlineMs?: number;
  readonly intervalMs?: number;
}

/**
 * Asks `condition` until it resolves to true. A rejection counts as "not yet". Throws with `what` and the last reason
 * once `deadlineMs` (30 s unless given) is over.
 */
export async function waitUntil(
  what: string,
  condition: () => Promise<boolean>,
  settings: WaitSettings = {},
): Promise<void> {
  const { deadlineMs = 30_000, intervalMs = 50 } = settings;
  const deadline = Date.now() + deadlineMs;
  let reason: unknown;
  for (;;) {
    try {
      if (await condition()) return;
      reason = undefined;
    } catch (error) {
      reason = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${deadlineMs / 1000} s for ${what}`, { cause: reason });
    await delay(intervalMs);
  }
}
