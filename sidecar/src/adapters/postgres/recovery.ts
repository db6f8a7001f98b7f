import { randomUUID } from "node:crypto";
import { Prisma } from "../../generated/client.ts";
import type { ClaimedTask, ClaimedTurn, ClaimedWork, ClaimRequest, RecoveryStore } from "../../ports/recovery-store.ts";
import { reading, type Scope, untilSettled, writing } from "./scope.ts";
import { beginAttempt } from "./sql/begin-attempt.ts";
import { claimTask } from "./sql/claim-task.ts";
import { claimTasks } from "./sql/claim-tasks.ts";
import { claimTurns } from "./sql/claim-turns.ts";
import type { Claimer } from "./sql/claimable.ts";
import { failOrphans, goneInstances } from "./sql/fail-orphans.ts";
import { forgetInstances } from "./sql/forget-instances.ts";
import { liveStates } from "./sql/fragments.ts";
import { findGone } from "./sql/find-gone.ts";
import { type Claimed, readClaimedTasks, readClaimedTurns } from "./sql/read-claims.ts";
import { readPulses } from "./sql/read-pulses.ts";
import { releaseWork } from "./sql/release-work.ts";
import { sweepInstances } from "./sql/sweep-instances.ts";
import { sweepTasks } from "./sql/sweep-tasks.ts";
import { sweepTurns } from "./sql/sweep-turns.ts";
import { type TaskRecord, taskRowOf } from "./sql/task-columns.ts";
import { type TurnRecord, turnRowOf } from "./sql/turn-columns.ts";
import { youngestInstance } from "./sql/youngest-instance.ts";

/** Claims, hand-overs and retention in Postgres. */
export function recoveryStore(scope: Scope): RecoveryStore {
  const { prisma, agent, idempotencyWindowSeconds: windowSeconds } = scope;
  const claims = new Claims(scope);
  return {
    readPulses: () => reading(() => readPulses(prisma, agent)),
    claimWork: (request) => writing(() => claims.takeWork(request)),
    claimTask: (taskId, claimer) => writing(() => claims.takeTask(taskId, claimer)),
    beginAttempt: (turnId, owner, lost) =>
      writing(async () => {
        const [record] = await beginAttempt(prisma, agent, { turnId, ...owner, lost });
        return record === undefined ? null : turnRowOf(record);
      }),
    releaseWork: (instance) => writing(() => releaseAll(scope, instance)),
    releaseTurn: (turnId, owner, lost) => writing(() => releaseOne(scope, turnId, { ...owner, lost })),
    setDraining: (instance, draining) =>
      writing(async () => {
        await prisma.instance.updateMany({ where: { agent, id: instance }, data: { draining } });
      }),
    youngestInstance: (self) => reading(async () => (await youngestInstance(prisma, agent, self))[0]?.id ?? null),
    failOrphans: (from) =>
      writing(async () => {
        const failed = await failOrphans(prisma, { agent, windowSeconds }, goneInstances(agent, from));
        return failed.map(({ id }) => id);
      }),
    forgetInstances: (ids) =>
      writing(async () => {
        await forgetInstances(prisma, agent, ids);
      }),
    sweep: (retentionSeconds, limit) =>
      writing(async () => ({
        tasks: await sweepTasks(prisma, agent, { retentionSeconds, limit }),
        turns: await sweepTurns(prisma, agent, { retentionSeconds, limit }),
        instances: await sweepInstances(prisma, agent, { retentionSeconds, limit }),
      })),
  };
}

/**
 * Claims leave a receipt in the rows they take, and the rows are read back by it. So a claim whose reply was lost is not
 * lost with it: the next one reads it back as well. Without that its work would be this instance's, with nobody at it.
 */
class Claims {
  readonly #scope: Scope;
  /** Claims that may have taken something and were not read back. */
  readonly #unread = new Set<string>();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  async takeWork(request: ClaimRequest): Promise<ClaimedWork> {
    const { prisma, agent, idempotencyWindowSeconds: windowSeconds } = this.#scope;
    const earlier = [...this.#unread];
    const nothing = { turns: [], tasks: [] };
    // What a predecessor leaves at rest is not looked for: that question would be as dear as the claim.
    const asks = earlier.length === 0 && request.predecessors.length === 0;
    if (asks && !(await findGone(prisma, agent, request))) return nothing;
    return this.#withReceipt(earlier, async (receipt) => {
      const claimer = this.#claimer(request, receipt);
      const turns = await claimTurns(prisma, claimer, request);
      const tasks = await claimTasks(prisma, claimer, { request, windowSeconds });
      return turns + tasks + earlier.length === 0 ? nothing : this.#read(request.self, [...earlier, receipt]);
    });
  }

  takeTask(taskId: string, claimer: { self: string; selfPodUid: string }): Promise<ClaimedTask | null> {
    const { prisma, idempotencyWindowSeconds: windowSeconds } = this.#scope;
    return this.#withReceipt([], async (receipt) => {
      const outcome = await untilSettled(`claim task ${taskId}`, () =>
        claimTask(prisma, this.#claimer(claimer, receipt), { taskId, windowSeconds }),
      );
      return outcome === "taken" ? ((await this.#read(claimer.self, [receipt])).tasks[0] ?? null) : null;
    });
  }

  /** Whatever fails before the rows were read back leaves its receipt, and those it took along, to the next claim. */
  async #withReceipt<T>(earlier: string[], claim: (receipt: string) => Promise<T>): Promise<T> {
    const receipt = randomUUID();
    for (const taken of earlier) this.#unread.delete(taken);
    try {
      return await claim(receipt);
    } catch (error) {
      for (const unread of [...earlier, receipt]) this.#unread.add(unread);
      throw error;
    }
  }

  #claimer({ self, selfPodUid }: { self: string; selfPodUid: string }, receipt: string): Claimer {
    return { agent: this.#scope.agent, self, selfPodUid, receipt };
  }

  async #read(self: string, receipts: string[]): Promise<ClaimedWork> {
    const { prisma, agent } = this.#scope;
    const turns = (await readClaimedTurns(prisma, agent, { self, receipts })).map(claimedTurnOf);
    const tasks = await readClaimedTasks(prisma, agent, { self, receipts });
    const turnOf = new Map(turns.map((claimed) => [claimed.turn.taskId, claimed]));
    return {
      turns: turns.filter(({ turn }) => turn.taskId === null),
      tasks: tasks.map((record) => claimedTaskOf(record, turnOf.get(record.taskId) ?? null)),
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

async function releaseAll(scope: Scope, instance: string): Promise<{ taskIds: string[]; turnIds: string[] }> {
  const { prisma, agent, idempotencyWindowSeconds: windowSeconds } = scope;
  // Only the agent that has the task can answer a call, and nothing can be written to a finished task: nobody else is given these.
  const orphans = await failOrphans(prisma, { agent, windowSeconds }, Prisma.sql`select ${instance}::text`);
  const taskIds: string[] = [];
  const turnIds = orphans.map(({ id }) => id);
  const tasks = Prisma.sql`(
    t.state <> 'input-required' or exists (
      select 1 from turn u
      where u.agent = ${agent} and u.task_id = t.id and u.state in ${liveStates} and u.purpose = 'send'
    )
  )`;
  return untilSettled(`release the work of ${instance}`, async () => {
    const records = await releaseWork(prisma, { agent, instance, tasks, turns: Prisma.sql`true`, handsOver: true });
    for (const { taskId, turnId, again } of records) {
      if (turnId !== null) turnIds.push(turnId);
      else if (taskId !== null && !again) taskIds.push(taskId);
    }
    return records.some(({ again }) => again) ? "again" : { taskIds, turnIds };
  });
}

async function releaseOne(
  scope: Scope,
  turnId: string,
  { instance, epoch, lost }: { instance: string; epoch: number; lost: boolean },
): Promise<boolean> {
  const { prisma, agent } = scope;
  const tasks = Prisma.sql`t.epoch = ${epoch}::integer and t.id = (
    select u.task_id from turn u
    where u.agent = ${agent} and u.id = ${turnId} and u.purpose = 'send'
      and u.state in ('journaled', 'dispatched', 'bound')
  )`;
  const turns = Prisma.sql`u.id = ${turnId} and u.epoch = ${epoch}::integer`;
  return untilSettled(`release turn ${turnId}`, async () => {
    const records = await releaseWork(prisma, { agent, instance, tasks, turns, handsOver: !lost });
    if (records.some(({ again }) => again)) return "again";
    return records.some((record) => record.turnId === turnId);
  });
}
