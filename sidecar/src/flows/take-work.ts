/**
 * Takes the rows that are meant for this instance: turns assigned to it and cancel marks on its tasks. Nudges make it
 * quick, the poll makes it certain (P11). Every taking is a compare-and-set, so a row is worked on once (I5).
 *
 * Owns the promise of every turn and cancel that runs here.
 */
import type { ClaimedTask, ClaimedWork } from "../ports/recovery-store.ts";
import type { NewTurn, TurnRow } from "../ports/task-store.ts";
import type { FlowContext } from "./flow-context.ts";
import { DeposedWatch } from "./drop-deposed.ts";
import { DeposedTurns } from "./drop-deposed-turns.ts";
import { recoverTask, recoverTurn } from "./recover-work.ts";
import { retryStore } from "./retry-store.ts";
import { runCancel } from "./run-cancel.ts";
import { runTurn } from "./run-turn.ts";
import { takeOnce } from "./take-once.ts";

const POLL_CONNECTED_MS = 1_000;
const POLL_DISCONNECTED_MS = 300;

export class WorkTaker {
  #context: FlowContext | null = null;
  readonly #running = new Set<string>();
  readonly #promises = new Set<Promise<void>>();
  readonly #stopped = new AbortController();
  readonly #deposed = new DeposedWatch();
  readonly #deposedTurns = new DeposedTurns();
  #leave: (() => void) | null = null;

  /** Begins to listen and to poll. The context refers back to this taker, hence not a constructor argument. */
  start(context: FlowContext): void {
    this.#context = context;
    const { instanceId } = context.settings;
    const subscription = context.relay.joinInstance(instanceId, (nudge) => {
      if (nudge.turnId) this.startTurn(nudge.turnId);
      if (nudge.cancelTaskId) this.startCancel(nudge.cancelTaskId);
    });
    this.#leave = () => subscription.leave();
    this.#own(this.#poll(context));
  }

  /**
   * Takes a turn by compare-and-set and runs it; nothing where somebody else has taken it. Past the grace of a drain it is
   * handed over instead, with its task (P8).
   */
  startTurn(turnId: string): void {
    this.#once(`take ${turnId}`, async (context) => {
      // A run would be cut off when the process ends, which nobody knows the time of: whoever else takes it begins at once.
      if (!context.lifetime.mayRun) return context.lifetime.handOver(context);
      const { instanceId } = context.settings;
      const taken = await takeOnce(context, {
        take: () => context.store.takeTurn(turnId, instanceId),
        find: async () => {
          const row = await context.store.readTurn(turnId);
          // Nobody else dispatches to this instance.
          return row?.state === "dispatched" && row.instance === instanceId ? row : null;
        },
      });
      if (!taken) return;
      context.board.announce(turnId, { kind: "pending", taken: true });
      this.#once(runKey(taken), () => runTurn(context, taken));
    });
  }

  /** A message that was journaled as this instance's. Where that took until the grace of a drain was over, it is given up. */
  runDispatched(turn: TurnRow, journaled: NewTurn): void {
    this.#once(runKey(turn), (context) =>
      context.lifetime.mayRun ? runTurn(context, turn, journaled) : giveUpUnsent(context, turn),
    );
  }

  /** Goes on with work that was claimed from others. */
  recover(work: ClaimedWork): void {
    for (const claimed of work.turns) {
      const { turn, before } = claimed;
      this.#once(runKey(turn), (context) =>
        context.lifetime.mayRun || before !== "journaled"
          ? runOrHandOver(context, () => recoverTurn(context, claimed))
          : giveUpUnsent(context, turn),
      );
    }
    for (const claimed of work.tasks) this.recoverTask(claimed);
  }

  recoverTask(claimed: ClaimedTask): void {
    const { task, turn } = claimed;
    // Under the turn's own key: a taking of it whose reply was lost finds it dispatched, and would run it beside this.
    const key = turn ? runKey(turn.turn) : `task ${task.taskId}@${task.epoch}`;
    this.#once(key, (context) => runOrHandOver(context, () => recoverTask(context, claimed)));
  }

  startCancel(taskId: string): void {
    this.#once(`cancel ${taskId}`, (context) => runCancel(context, taskId));
  }

  /** Stops taking work. What runs is left to its own end. */
  stop(): void {
    this.#stopped.abort();
    this.#leave?.();
  }

  /** Number of turns and cancels being worked on. */
  get busy(): number {
    return this.#running.size;
  }

  #once(key: string, work: (context: FlowContext) => Promise<void>): void {
    const context = this.#context;
    if (!context || this.#running.has(key) || this.#stopped.signal.aborted) return;
    this.#running.add(key);
    this.#own(
      work(context)
        .catch((error: unknown) => context.log.error({ err: error, key }, "work could not be taken"))
        .finally(() => this.#running.delete(key)),
    );
  }

  #own(promise: Promise<void>): void {
    this.#promises.add(promise);
    void promise.finally(() => this.#promises.delete(promise));
  }

  async #poll(context: FlowContext): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await context.clock.sleep(context.relay.connected ? POLL_CONNECTED_MS : POLL_DISCONNECTED_MS, signal);
      if (signal.aborted) return;
      try {
        const work = await context.store.findWork(context.settings.instanceId);
        for (const turnId of work.turnIds) this.startTurn(turnId);
        for (const taskId of work.cancelTaskIds) this.startCancel(taskId);
        await this.#deposed.look(context);
        await this.#deposedTurns.look(context);
      } catch (error) {
        context.log.debug({ err: error }, "own rows not readable, polled again later");
      }
    }
  }
}

/** A claim may be answered when the grace of a drain is over already. */
function runOrHandOver(context: FlowContext, run: () => Promise<void>): Promise<void> {
  return context.lifetime.mayRun ? run() : context.lifetime.handOver(context);
}

/** No agent was given it: whoever takes it begins as if for the first time. What belongs to a task goes with the task. */
async function giveUpUnsent(context: FlowContext, { id, epoch, taskId }: TurnRow): Promise<void> {
  if (taskId !== null) return context.lifetime.handOver(context);
  const owner = { instance: context.settings.instanceId, epoch };
  const released = await retryStore(context, () => context.recovery.releaseTurn(id, owner, "none"));
  context.board.handOff(id);
  if (released) context.relay.publishClaimable();
}

/** One run per epoch: a turn that comes back to an instance is run again, however long its abandoned run lingers. */
function runKey(turn: TurnRow): string {
  return `turn ${turn.id}@${turn.epoch}`;
}
