/**
 * One replica leads at a time, by a Lease.
 *
 * L1 A Lease is taken over only when its record has not changed for its whole duration on this replica's own clock, so
 * clocks that differ elect nobody twice. L2 A leader that could not renew for `renewDeadlineMs`, which is shorter than
 * the lease, has lost: it stops before another one can start. L3 A leader that stops gives the Lease back at once.
 * L4 Who takes a Lease away from its holder leads only when that lease is over: until then the holder may not have noticed.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Lease, leases } from "../kubernetes/resource-types.ts";
import type { Cluster } from "../ports/cluster.ts";

/** How the election is held. */
export interface LeaderElectionOptions {
  cluster: Cluster;
  lease: { name: string; namespace: string };
  identity: string;
  leaseMs: number;
  renewDeadlineMs: number;
  retryMs: number;
  /** Take the Lease from whoever holds it, for the command that removes everything. */
  preempt?: boolean;
  /** Hears who holds the Lease instead, at each change. */
  onOther: (holder: string) => void;
  onFault: (error: unknown) => void;
}

/** A candidacy. */
export interface Candidacy {
  /** Resolves when this replica leads; never when it is stopped before. */
  readonly elected: Promise<void>;
  /** Resolves when this replica led and leads no more without having been stopped. */
  readonly lost: Promise<void>;
  isLeading(): boolean;
  /** Gives the Lease back and ends. */
  stop(): Promise<void>;
}

/** Enters the election. */
export function standForElection(options: LeaderElectionOptions): Candidacy {
  const abort = new AbortController();
  const elected = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<void>();
  const state: State = { leading: false, notBefore: 0, holder: "", seen: "", seenAt: 0, attempt: Promise.resolve() };
  const loop = campaign(options, state, abort.signal, { elected: elected.resolve, lost: lost.resolve });
  return {
    elected: elected.promise,
    lost: lost.promise,
    isLeading: () => state.leading,
    stop: async () => {
      abort.abort();
      await loop;
      // A renewal that is still under way would make the release a conflict.
      await state.attempt;
      if (!state.leading) return;
      state.leading = false;
      await release(options).catch(options.onFault);
    },
  };
}

interface State {
  leading: boolean;
  /** When the last one from whom the Lease was taken has surely stopped, on the monotonic clock. */
  notBefore: number;
  /** The last holder that was told of. */
  holder: string;
  /** The last record read and when it was first read, on the monotonic clock. */
  seen: string;
  seenAt: number;
  /** Settles with the call that is under way; never rejects. */
  attempt: Promise<unknown>;
}

async function campaign(
  options: LeaderElectionOptions,
  state: State,
  signal: AbortSignal,
  report: { elected: () => void; lost: () => void },
): Promise<void> {
  let renewedAt = 0;
  while (!signal.aborted) {
    const sentAt = performance.now();
    const attempt = acquireOrRenew(options, state);
    state.attempt = attempt.catch(() => undefined);
    const limitMs = Math.min(options.renewDeadlineMs / 2, remainingMs(options, state, renewedAt));
    const timely = Promise.race([attempt, failAfter(limitMs, signal)]);
    const held = await timely.catch((error: unknown) => {
      if (!signal.aborted) options.onFault(error);
      return undefined;
    });
    if (held === true) {
      renewedAt = sentAt;
      if (!state.leading && performance.now() >= state.notBefore) {
        state.leading = true;
        report.elected();
      }
    } else if (state.leading && (held === false || remainingMs(options, state, renewedAt) <= 0)) {
      state.leading = false;
      report.lost();
      return;
    }
    // After a call that failed a leader's next one needs its share of what is left.
    const leftMs = remainingMs(options, state, renewedAt) / (held === undefined ? 3 : 1);
    const pauseMs = Math.min(options.retryMs * (0.8 + Math.random() * 0.4), leftMs);
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** How long a leader may go on without a renewal; who does not lead has no such limit. */
function remainingMs({ renewDeadlineMs }: LeaderElectionOptions, { leading }: State, renewedAt: number): number {
  // Rounded up, since a timer may end a fraction before its time.
  return leading ? Math.max(Math.ceil(renewedAt + renewDeadlineMs - performance.now()), 0) : Number.POSITIVE_INFINITY;
}

/** A call that hangs must not keep a leader from noticing that its time is over (L2). */
async function failAfter(limitMs: number, signal: AbortSignal): Promise<never> {
  await delay(limitMs, undefined, { signal, ref: false }).catch(() => undefined);
  throw new Error(`the Lease could not be read or written within ${limitMs} ms`);
}

/** True: held. False: somebody else holds it. Throws when the API server could not be asked. */
async function acquireOrRenew(options: LeaderElectionOptions, state: State): Promise<boolean> {
  const { cluster, lease, identity } = options;
  const observed = await cluster.read(leases, lease);
  // A conflict means that somebody wrote in between: it is thrown like any failure, and the next look tells who.
  if (observed === undefined) {
    await cluster.create(leases, { metadata: lease, ...record(options, undefined) } as Lease);
    return true;
  }
  const { spec } = observed;
  const seen = `${spec.holderIdentity}/${spec.renewTime}/${spec.leaseTransitions}`;
  if (seen !== state.seen) {
    state.seen = seen;
    state.seenAt = performance.now();
  }
  const free = !spec.holderIdentity || performance.now() - state.seenAt >= (spec.leaseDurationSeconds ?? 0) * 1000;
  const mine = spec.holderIdentity === identity;
  if (!mine && !free && !(options.preempt === true && !state.leading)) {
    tellHolder(options, state, spec.holderIdentity ?? "");
    return false;
  }
  await cluster.replace(leases, { metadata: observed.metadata, ...record(options, observed) } as Lease);
  if (!mine && !free) state.notBefore = performance.now() + (spec.leaseDurationSeconds ?? 0) * 1000;
  return true;
}

function tellHolder({ onOther }: LeaderElectionOptions, state: State, holder: string): void {
  if (holder === state.holder) return;
  state.holder = holder;
  onOther(holder);
}

function record({ identity, leaseMs }: LeaderElectionOptions, observed: Lease | undefined): Pick<Lease, "spec"> {
  const time = formatMicroTime(new Date());
  const mine = observed?.spec.holderIdentity === identity;
  return {
    spec: {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      renewTime: time,
      acquireTime: mine ? (observed.spec.acquireTime ?? time) : time,
      leaseTransitions: (observed?.spec.leaseTransitions ?? 0) + (observed === undefined || mine ? 0 : 1),
    },
  };
}

async function release({ cluster, lease, identity }: LeaderElectionOptions): Promise<void> {
  const observed = await cluster.read(leases, lease);
  if (observed?.spec.holderIdentity !== identity) return;
  await cluster.replace(leases, {
    ...observed,
    spec: { ...observed.spec, holderIdentity: "", leaseDurationSeconds: 1 },
  } as Lease);
}

/** metav1.MicroTime has exactly six digits. */
function formatMicroTime(time: Date): string {
  return time.toISOString().replace("Z", "000Z");
}
