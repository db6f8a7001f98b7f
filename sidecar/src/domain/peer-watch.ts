/**
 * Who may be claimed from. An instance counts as silent only when its renewal counter stood still for a whole lease on
 * this process's own monotonic clock, seen by reads without a gap, and its lease ran out on the store's clock as well. So
 * neither a jump of any one clock nor an outage of the store makes anybody look dead: an outage is a gap, and a gap
 * restarts every wait, which gives the owners time to renew first (P11).
 */

/** One instance in one read. {@link InstancePulse} of the record is one. */
export interface PeerPulse {
  id: string;
  /** Moves at every renewal. */
  renewals: number;
  /** The lease has run out on the store's clock. */
  expired: boolean;
  /** The instance has said itself that it holds nothing any more: nothing is waited for. */
  released?: boolean;
}

/**
 * When a read was sent and answered, on the reader's monotonic clock. Both count, because what is read was true at some
 * moment between them: a silence begins with the answer that first showed the counter and lasts until a read is sent.
 */
export interface PulseRead {
  sentMs: number;
  answeredMs: number;
}

/** What one instance has seen of the others' counters. Only {@link observe} changes it. */
export interface PeerWatch {
  readonly leaseMs: number;
  /** When the last read was answered; null before the first. */
  lastAnsweredMs: number | null;
  /** The counter last seen of each peer, and since when it has been that. */
  readonly peers: Map<string, { renewals: number; sinceMs: number }>;
}

/** A watch that has seen nothing: whoever it sees, it waits for one lease from its first read. */
export function openPeerWatch(leaseMs: number): PeerWatch {
  return { leaseMs, lastAnsweredMs: null, peers: new Map() };
}

/**
 * Takes in one read and gives the ids whose work may be claimed at this moment. `pulses` are all instances but the
 * reader's own; one that is not among them is forgotten.
 */
export function observe(watch: PeerWatch, read: PulseRead, pulses: Iterable<PeerPulse>): string[] {
  if (!isUnbroken(watch, read.answeredMs)) watch.peers.clear();
  watch.lastAnsweredMs = read.answeredMs;
  const before = new Map(watch.peers);
  watch.peers.clear();
  const claimable: string[] = [];
  for (const { id, renewals, expired, released } of pulses) {
    if (released === true) {
      claimable.push(id);
      continue;
    }
    const known = before.get(id);
    const silent = known !== undefined && known.renewals === renewals;
    const seen = silent ? known : { renewals, sinceMs: read.answeredMs };
    watch.peers.set(id, seen);
    if (silent && expired && read.sentMs - seen.sinceMs >= watch.leaseMs) claimable.push(id);
  }
  return claimable;
}

/**
 * Whether the peer's counter moved, or was first seen, within the last lease: it may be at work, whatever the store's clock
 * says of its lease.
 */
export function wasHeardOf(watch: PeerWatch, id: string, nowMs: number): boolean {
  const seen = watch.peers.get(id);
  return seen !== undefined && nowMs - seen.sinceMs < watch.leaseMs;
}

/** Reads follow each other without a gap over a third of a lease. A clock that ran backwards proves nothing either. */
function isUnbroken(watch: PeerWatch, answeredMs: number): boolean {
  if (watch.lastAnsweredMs === null) return true;
  const gapMs = answeredMs - watch.lastAnsweredMs;
  return gapMs >= 0 && gapMs <= watch.leaseMs / 3;
}
