import { randomUUID } from "node:crypto";
import type { ClaimedTask, ClaimedTurn, ClaimedWork, ClaimRequest } from "../../ports/recovery-store.ts";
import { QUERY_TIMEOUT_MS } from "./client.ts";
import { type Scope, untilSettled } from "./scope.ts";
import { claimTask } from "./sql/claim-task.ts";
import { claimTasks } from "./sql/claim-tasks.ts";
import { claimTurns } from "./sql/claim-turns.ts";
import type { Claimer } from "./sql/claimable.ts";
import { findGone } from "./sql/find-gone.ts";
import { type Claimed, readClaimedTasks, readClaimedTurns } from "./sql/read-claims.ts";
import { type TaskRecord, taskRowOf } from "./sql/task-columns.ts";
import { type TurnRecord, turnRowOf } from "./sql/turn-columns.ts";

/** A statement whose connection was cut has ended by then, if it ever does. */
const KEPT_MS = 2 * QUERY_TIMEOUT_MS;

/** A claim that failed: since when, and what of it was given out all the same. */
interface Unread {
  failedMs: number;
  given: Set<string>;
}

/**
 * Claims leave a receipt in the rows they take, and the rows are read back by it. So a claim whose reply was lost is not
 * lost with it: the next ones read it back as well. Without that its work would be this instance's, with nobody at it.
 *
 * A receipt is kept for a while after it was read: the server finishes a statement whose connection was cut, and what it
 * takes may appear only after the receipt was read for the first time.
 */
export class Claims {
  readonly #scope: Scope;
  /** Claims that may have taken something and were not read back, or not for long enough. */
  readonly #unread = new Map<string, Unread>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  async takeWork(request: ClaimRequest): Promise<ClaimedWork> {
    const { prisma, agent, idempotencyWindowSeconds: windowSeconds } = this.#scope;
    const nothing = { turns: [], tasks: [] };
    if (request.limit === 0) return this.#unread.size === 0 ? nothing : this.#read(request.self);
    // What a predecessor leaves at rest is not looked for: that question would be as dear as the claim.
    const looksFirst = request.predecessors.length === 0;
    if (looksFirst && !(await findGone(prisma, agent, request))) {
      return this.#unread.size === 0 ? nothing : this.#read(request.self);
    }
    return this.#withReceipt(async (receipt) => {
      const claimer = this.#claimer(request, receipt);
      const turns = await claimTurns(prisma, claimer, request);
      const tasks = await claimTasks(prisma, claimer, { request, windowSeconds });
      return turns + tasks + this.#unread.size === 0 ? nothing : this.#read(request.self, receipt);
    });
  }

  takeTask(taskId: string, claimer: { self: string; selfPodUid: string }): Promise<ClaimedTask | null> {
    const { prisma, idempotencyWindowSeconds: windowSeconds } = this.#scope;
    return this.#withReceipt(async (receipt) => {
      const outcome = await untilSettled(`claim task ${taskId}`, () =>
        claimTask(prisma, this.#claimer(claimer, receipt), { taskId, windowSeconds }),
      );
      if (outcome !== "taken") return null;
      return (await this.#readReceipts(claimer.self, [receipt])).tasks[0] ?? null;
    });
  }

  /** Whatever fails before the rows were read back leaves its receipt to the next claims. */
  async #withReceipt<T>(claim: (receipt: string) => Promise<T>): Promise<T> {
    const receipt = randomUUID();
    try {
      return await claim(receipt);
    } catch (error) {
      this.#unread.set(receipt, { failedMs: performance.now(), given: new Set() });
      throw error;
    }
  }

  #claimer({ self, selfPodUid }: { self: string; selfPodUid: string }, receipt: string): Claimer {
    return { agent: this.#scope.agent, self, selfPodUid, receipt };
  }

  /** What the claim, and the earlier ones that failed, have taken and was not given out yet. */
  async #read(self: string, receipt?: string): Promise<ClaimedWork> {
    const sentMs = performance.now();
    const earlier = [...this.#unread];
    const receipts = [...earlier.map(([unread]) => unread), ...(receipt === undefined ? [] : [receipt])];
    const { turns, tasks, receiptOf } = await this.#readReceipts(self, receipts);
    const isNew = (row: object, key: string): boolean => {
      const given = this.#unread.get(receiptOf.get(row) ?? "")?.given;
      if (given?.has(key)) return false;
      given?.add(key);
      return true;
    };
    const work = {
      turns: turns.filter((claimed) => isNew(claimed, `turn ${claimed.turn.id}`)),
      tasks: tasks.filter((claimed) => isNew(claimed, `task ${claimed.task.taskId}`)),
    };
    for (const [unread, { failedMs }] of earlier) if (sentMs - failedMs >= KEPT_MS) this.#unread.delete(unread);
    return work;
  }

  async #readReceipts(self: string, receipts: string[]): Promise<ClaimedWork & { receiptOf: Map<object, string> }> {
    const { prisma, agent } = this.#scope;
    const receiptOf = new Map<object, string>();
    const noted = <C extends object>(claimed: C, { claim }: { claim: string }): C => {
      receiptOf.set(claimed, claim.split(" ")[0] ?? "");
      return claimed;
    };
    const turnRecords = await readClaimedTurns(prisma, agent, { self, receipts });
    const turns = turnRecords.map((record) => noted(claimedTurnOf(record), record));
    const taskRecords = await readClaimedTasks(prisma, agent, { self, receipts });
    const turnOf = new Map(turns.map((claimed) => [claimed.turn.taskId, claimed]));
    return {
      turns: turns.filter(({ turn }) => turn.taskId === null),
      tasks: taskRecords.map((record) => noted(claimedTaskOf(record, turnOf.get(record.taskId) ?? null), record)),
      receiptOf,
    };
  }
}

function claimedTurnOf({ claim, ...record }: Claimed<TurnRecord>): ClaimedTurn {
  const [, before, pod] = claim.split(" ");
  return { turn: turnRowOf(record), before: before as ClaimedTurn["before"], samePod: pod === "same" };
}

function claimedTaskOf({ claim, ...record }: Claimed<TaskRecord>, turn: ClaimedTurn | null): ClaimedTask {
  return { task: taskRowOf(record), turn, samePod: claim.endsWith(" same") };
}
