/**
 * This instance's own lease, as far as it may trust it (I7). The deadline counts from the moment the last good renewal was
 * sent, on the monotonic clock, and ends before the store's lease does: an owner stops by itself before anybody may
 * claim from it, however long it was paused.
 */

/** Part of a lease after which its holder stops. The rest covers what has been sent and not yet taken effect. */
const HOLDING_SHARE = 0.8;

/**
 * `unregistered`: the store has no row of this instance. `held`: it may act. `overdue`: its deadline has passed without a
 * renewal; it may own work still, or not any more. `gone`: it stops for good.
 */
export type LeaseState = "unregistered" | "held" | "overdue" | "gone";

/** `refused`: the store has no row to renew. `failed`: the store could not be asked. `expire`: the deadline passed. */
export type LeaseTransition = "renewed" | "refused" | "failed" | "expire" | "stopping";

/**
 * What the holder does next. `suspend`: append nothing, show nothing, re-run nothing of what it owns. `register`: insert
 * the row anew, suspended until that is done. `reclaim`: take what it held again by compare-and-set, and only then go on
 * with it. `release`: give up everything.
 */
export type LeaseAction = "suspend" | "register" | "reclaim" | "release";

/** Every state meets every transition. */
export const leaseTransitions = {
  unregistered: {
    renewed: { next: "held", action: "reclaim" },
    refused: { next: "unregistered", action: "register" },
    failed: { next: "unregistered", action: null },
    expire: { next: "unregistered", action: null },
    stopping: { next: "gone", action: "release" },
  },
  held: {
    renewed: { next: "held", action: null },
    refused: { next: "unregistered", action: "register" },
    failed: { next: "held", action: null },
    expire: { next: "overdue", action: "suspend" },
    stopping: { next: "gone", action: "release" },
  },
  overdue: {
    renewed: { next: "held", action: "reclaim" },
    refused: { next: "unregistered", action: "register" },
    failed: { next: "overdue", action: null },
    expire: { next: "overdue", action: null },
    stopping: { next: "gone", action: "release" },
  },
  gone: {
    renewed: { next: "gone", action: null },
    refused: { next: "gone", action: null },
    failed: { next: "gone", action: null },
    expire: { next: "gone", action: null },
    stopping: { next: "gone", action: null },
  },
} as const satisfies Record<LeaseState, Record<LeaseTransition, { next: LeaseState; action: LeaseAction | null }>>;

/** The lease at one moment. A value: {@link advanceLease} gives the next one. */
export interface InstanceLease {
  readonly state: LeaseState;
  readonly leaseMs: number;
  /** Monotonic time from which on nothing may be done. */
  readonly deadlineMs: number;
}

/** What happened. `sentAtMs`: when the renewal, or the registration, that succeeded was sent. Times are monotonic. */
export type LeaseEvent =
  | { kind: "renewed"; sentAtMs: number; nowMs: number }
  | { kind: "refused" | "failed" | "tick" | "stopping"; nowMs: number };

/** The lease of an instance that has not registered. */
export function openLease(leaseMs: number): InstanceLease {
  return { state: "unregistered", leaseMs, deadlineMs: Number.NEGATIVE_INFINITY };
}

/**
 * The lease after an event, and what is to be done, in order. A deadline that passed unnoticed (the process was paused)
 * is made up for first, so that no renewal goes over it silently.
 */
export function advanceLease(
  lease: InstanceLease,
  event: LeaseEvent,
): { lease: InstanceLease; actions: LeaseAction[] } {
  const actions: LeaseAction[] = [];
  let next = lease;
  const move = (transition: LeaseTransition): void => {
    const { next: state, action } = leaseTransitions[next.state][transition];
    next = { ...next, state };
    if (action !== null) actions.push(action);
  };
  if (event.nowMs >= next.deadlineMs) move("expire");
  if (event.kind === "renewed") {
    const deadlineMs = Math.max(next.deadlineMs, event.sentAtMs + next.leaseMs * HOLDING_SHARE);
    // A reply so late that its own deadline is over is as good as none.
    if (event.nowMs >= deadlineMs) return { lease: next, actions };
    next = { ...next, deadlineMs };
  }
  if (event.kind !== "tick") move(event.kind);
  return { lease: next, actions };
}

/** Whether this instance may append, show and re-run what it owns at this moment (I7). */
export function mayAct(lease: InstanceLease, nowMs: number): boolean {
  return lease.state === "held" && nowMs < lease.deadlineMs;
}
