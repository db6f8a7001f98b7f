/**
 * Watches the leases of the agent's other instances and takes over the work of those that have died. A peer is dead when
 * its renewal counter has not moved for one lease on this process's monotonic clock, seen without a gap, and its lease
 * has run out at the store: no outage and no jump of any clock re-runs anything.
 */
import { observe, openPeerWatch, type PeerWatch, wasHeardOf } from "../domain/peer-watch.ts";
import type { ClaimedWork, InstancePulse } from "../ports/recovery-store.ts";
import type { FlowContext } from "./flow-context.ts";

const READ_INTERVAL_MS = 200;
/** Released work is looked for this often even when no message says that there is some. */
const IDLE_CLAIM_MS = 1_000;
const CLAIM_LIMIT = 32;

export interface PeerWatcherDeps {
  /** Whether this instance may take work: its lease holds, it does not drain and its agent answers. */
  mayClaim: () => boolean;
  onClaimed: (work: ClaimedWork) => void;
  /** Calls that waited for an instance that is gone. */
  onOrphansFailed: (turnIds: string[]) => void;
}

export class PeerWatcher {
  readonly #context: FlowContext;
  readonly #deps: PeerWatcherDeps;
  readonly #stopped = new AbortController();
  #nap = new AbortController();
  #claimable = false;
  #lastClaimMs = Number.NEGATIVE_INFINITY;
  #loop: Promise<void> | null = null;
  readonly #watch: PeerWatch;

  constructor(context: FlowContext, deps: PeerWatcherDeps) {
    this.#context = context;
    this.#deps = deps;
    this.#watch = openPeerWatch(context.settings.leaseMs);
  }

  /** Whether the instance has renewed, or was first seen, within the last lease on this process's own clock. */
  heardOf(instanceId: string): boolean {
    return wasHeardOf(this.#watch, instanceId, this.#context.clock.monotonicMs());
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#nap.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, relay, log, settings } = this.#context;
    const { signal } = this.#stopped;
    const subscription = relay.joinClaimable(() => {
      this.#claimable = true;
      this.#nap.abort();
    });
    while (!signal.aborted) {
      // What cannot be taken now, or fails, is looked for again with the idle claim: never in a loop without a pause.
      const told = this.#claimable;
      this.#claimable = false;
      try {
        const sentMs = clock.monotonicMs();
        const pulses = await this.#context.recovery.readPulses();
        const peers = pulses.filter((pulse) => pulse.id !== settings.instanceId);
        const silent = observe(this.#watch, { sentMs, answeredMs: clock.monotonicMs() }, peers);
        await this.#claim({ silent, predecessors: this.#predecessors(pulses), told });
      } catch (error) {
        log.debug({ err: error }, "leases of the peers not readable, read again later");
      }
      this.#nap = new AbortController();
      if (!this.#claimable) await clock.sleep(READ_INTERVAL_MS, AbortSignal.any([signal, this.#nap.signal]));
    }
    subscription.leave();
  }

  /** Earlier processes of this pod: the one that holds the pod now is their successor. */
  #predecessors(pulses: InstancePulse[]): string[] {
    const self = pulses.find((pulse) => pulse.id === this.#context.settings.instanceId);
    if (!self) return [];
    const { podUid } = this.#context;
    return pulses.filter((pulse) => pulse.podUid === podUid && pulse.seq < self.seq).map((pulse) => pulse.id);
  }

  async #claim(found: { silent: string[]; predecessors: string[]; told: boolean }): Promise<void> {
    const { clock, settings, log } = this.#context;
    const { silent, predecessors, told } = found;
    const idle = silent.length === 0 && predecessors.length === 0 && !told;
    const mayClaim = this.#deps.mayClaim();
    if ((idle || !mayClaim) && clock.monotonicMs() - this.#lastClaimMs < IDLE_CLAIM_MS) return;
    this.#lastClaimMs = clock.monotonicMs();
    const { recovery, podUid } = this.#context;
    // Whoever may not claim is still told what an earlier claim has taken whose reply was lost: nobody else would have it.
    const limit = mayClaim ? CLAIM_LIMIT : 0;
    const request = { self: settings.instanceId, selfPodUid: podUid, from: silent, predecessors, limit };
    const work = await recovery.claimWork(request);
    const count = work.turns.length + work.tasks.length;
    if (count > 0) {
      log.info({ turns: work.turns.length, tasks: work.tasks.length }, "took over work");
      this.#deps.onClaimed(work);
    }
    if (!mayClaim) return;
    this.#claimable ||= count >= CLAIM_LIMIT;
    const gone = [...silent, ...predecessors];
    if (gone.length > 0) this.#deps.onOrphansFailed(await recovery.failOrphans(gone));
    // Once their work is taken the rows would only be read again and again. What is locked at this moment is not taken yet.
    if (count === 0 && predecessors.length > 0) await recovery.forgetInstances(predecessors);
  }
}
