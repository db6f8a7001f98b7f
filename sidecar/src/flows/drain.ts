/**
 * A planned end of this instance (P8): unready at once, while it goes on listening and refuses nothing; running turns may
 * finish within the grace period, and so may streams of work that runs elsewhere; the rest is given up for others to take
 * at once, and cancelled at the agent here.
 *
 * `running` → `draining` → `drained`; an undone drain (only the agent's container was restarted) is `running` again.
 */
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";

/** How the rest of the flows see it. Read the signals anew each time: an undone drain replaces them. */
export interface Lifetime {
  readonly draining: boolean;
  /** Whether a message may still be run here: always before a drain, within the grace during one. */
  readonly mayRun: boolean;
  /** SSE responses end after the event they are at; one that begins later goes on until the process must go. */
  readonly closing: AbortSignal;
  /** A stream of a task at work begins: a drain waits for it, within the grace, until what this returns is called. */
  beginStream(): () => void;
  /** Unary calls that still wait are told to come again. */
  readonly exiting: AbortSignal;
  /** Gives up what has come to a drained instance since its drain, for another to begin at once. Nothing before that. */
  handOver(context: FlowContext): Promise<void>;
}

export interface DrainDeps {
  graceMs: number;
  /** Turns and cancels at work here, and calls that wait for their answer. */
  busy: () => number;
  setDraining: (draining: boolean) => void;
}

/** Load balancers go on sending for about this long after an instance has become unready. */
const QUIET_MS = 3_000;
const CHECK_MS = 50;
const STORE_PATIENCE_MS = 2_000;
/** What could not be given up is tried again after this, for as long as the process lives. */
const RELEASE_AGAIN_MS = 500;
const AGENT_PROBE_MS = 500;

export class Drain implements Lifetime {
  readonly #deps: DrainDeps;
  #state: "running" | "draining" | "drained" = "running";
  #deadlineMs = Number.POSITIVE_INFINITY;
  #nowMs: () => number = () => 0;
  #done: Promise<void> | null = null;
  #handingOver: Promise<void> | null = null;
  #handingOverNext: Promise<void> | null = null;
  #handingOverLater = false;
  #streams = 0;
  #closing = new AbortController();
  readonly #exiting = new AbortController();

  constructor(deps: DrainDeps) {
    this.#deps = deps;
  }

  get draining(): boolean {
    return this.#state !== "running";
  }

  get mayRun(): boolean {
    return this.#state === "running" || (this.#state === "draining" && this.#nowMs() < this.#deadlineMs);
  }

  get closing(): AbortSignal {
    return this.#closing.signal.aborted ? this.#exiting.signal : this.#closing.signal;
  }

  get exiting(): AbortSignal {
    return this.#exiting.signal;
  }

  beginStream(): () => void {
    this.#streams += 1;
    return () => {
      this.#streams -= 1;
    };
  }

  /**
   * Drains; resolves when nothing is left to do here. Asking again gives the same drain, hands over what came since, and
   * waits for the streams that began since.
   */
  begin(context: FlowContext): Promise<void> {
    if (this.#done) return this.#done.then(() => this.#finishSince(context));
    this.#done = this.#run(context);
    return this.#done;
  }

  async handOver(context: FlowContext): Promise<void> {
    if (this.#state !== "drained") return;
    if (!this.#handingOver) return this.#beginRelease(context);
    // What has come since may be too late for the statement that is under way.
    const again = (): Promise<void> => {
      this.#handingOverNext = null;
      return this.handOver(context);
    };
    this.#handingOverNext ??= this.#handingOver.then(again, again);
    return this.#handingOverNext;
  }

  #beginRelease(context: FlowContext): Promise<void> {
    this.#handingOver ??= this.#release(context).finally(() => {
      this.#handingOver = null;
    });
    return this.#handingOver;
  }

  /** The process must go: whoever still waits is told to come again. */
  exit(): void {
    this.#closing.abort();
    this.#exiting.abort();
  }

  /** After a drain for which no process end came: back to work once the agent's port has closed and answers again. */
  async undoWhenAgentReturns(context: FlowContext, stop: AbortSignal): Promise<void> {
    await this.#done;
    for (let wentAway = false; !stop.aborted; ) {
      const listening = await context.presence.untilListening(context, 0);
      if (listening && wentAway) break;
      // One that only falls silent for a while is the same process as before.
      wentAway ||= !listening && !context.presence.silent;
      await context.clock.sleep(AGENT_PROBE_MS, stop);
    }
    if (stop.aborted) return;
    await (this.#handingOverNext ?? this.#handingOver);
    if (stop.aborted) return;
    context.log.info({}, "the agent was restarted, not the pod: taking work again");
    this.#state = "running";
    this.#done = null;
    this.#closing = new AbortController();
    this.#deps.setDraining(false);
    await retryStore(context, () => context.recovery.setDraining(context.settings.instanceId, false));
  }

  async #run(context: FlowContext): Promise<void> {
    const { clock, log, settings } = context;
    const startedMs = clock.monotonicMs();
    this.#nowMs = () => clock.monotonicMs();
    this.#deadlineMs = startedMs + this.#deps.graceMs;
    this.#state = "draining";
    this.#deps.setDraining(true);
    log.info({ graceMs: this.#deps.graceMs }, "draining");
    const marked = () => context.recovery.setDraining(settings.instanceId, true);
    await retryStore(context, marked, STORE_PATIENCE_MS).catch(() =>
      log.warn({}, "drain not marked, the store is away"),
    );
    // Who sets no grace wants no waiting either.
    const quietUntilMs = startedMs + (this.#deps.graceMs > 0 ? QUIET_MS : 0);
    await this.#withinGrace(
      context,
      () => this.#deps.busy() > 0 || this.#streams > 0 || clock.monotonicMs() < quietUntilMs,
    );
    // From here on nothing is begun: what comes while the rest is given up is given up with it.
    this.#state = "drained";
    await this.handOver(context);
    this.#closing.abort();
    await clock.sleep(Math.max(0, quietUntilMs - clock.monotonicMs()));
    log.info({}, "drained");
  }

  async #finishSince(context: FlowContext): Promise<void> {
    await this.handOver(context);
    await this.#withinGrace(context, () => this.#streams > 0);
  }

  async #withinGrace({ clock }: FlowContext, goesOn: () => boolean): Promise<void> {
    while (clock.monotonicMs() < this.#deadlineMs && goesOn()) await clock.sleep(CHECK_MS);
  }

  async #releaseLater(context: FlowContext): Promise<void> {
    if (this.#handingOverLater) return;
    this.#handingOverLater = true;
    await context.clock.sleep(RELEASE_AGAIN_MS, this.exiting);
    this.#handingOverLater = false;
    if (!this.exiting.aborted) await this.handOver(context);
  }

  async #release(context: FlowContext): Promise<void> {
    const { recorders, board, relay, log, clock } = context;
    // What is recorded so far must be committed under the old epoch before the task is given up.
    await Promise.race([
      Promise.all(recorders.all().map((recorder) => recorder.settled())),
      clock.sleep(STORE_PATIENCE_MS),
    ]);
    const startedMs = clock.monotonicMs();
    // Tasks go on being created while others are given up: until nothing is left that could be given up.
    for (let left = true; left; ) {
      const released = await releaseOnce(context).catch(() => null);
      if (!released) {
        log.warn(
          {},
          "work not handed over, the store does not answer: it is tried again, or taken over after the lease",
        );
        void this.#releaseLater(context);
        return;
      }
      const gone = new Set(released.taskIds);
      for (const recorder of released.recorders) if (gone.has(recorder.taskId) || !recorder.resting) recorder.abandon();
      for (const turnId of released.turnIds) board.handOff(turnId);
      left = released.taskIds.length > 0 || released.turnIds.length > 0;
      if (!left) return;
      relay.publishClaimable();
      log.info({ tasks: released.taskIds.length, turns: released.turnIds.length }, "work handed over");
      left = clock.monotonicMs() - startedMs < STORE_PATIENCE_MS;
    }
  }
}

/**
 * Gives up everything the record holds for this instance at this moment. `recorders` are those of tasks that were in the
 * record before: all that are at work are given up, whether or not a lost reply has kept their ids. One that was created
 * meanwhile may still be this instance's, and its run goes on until the next pass.
 */
async function releaseOnce(context: FlowContext) {
  const { recovery, recorders, settings } = context;
  let held = recorders.all();
  const release = () => {
    held = recorders.all();
    return recovery.releaseWork(settings.instanceId);
  };
  const released = await retryStore(context, release, STORE_PATIENCE_MS);
  return { ...released, recorders: held };
}
