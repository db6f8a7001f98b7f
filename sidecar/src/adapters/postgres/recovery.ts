import { Claims } from "./claims.ts";
import { Prisma } from "../../generated/client.ts";
import type { RecoveryStore, ReleasedRun } from "../../ports/recovery-store.ts";
import { reading, type Scope, untilSettled, writing } from "./scope.ts";
import { beginAttempt } from "./sql/begin-attempt.ts";
import { failOrphans, goneInstances } from "./sql/fail-orphans.ts";
import { forgetInstances } from "./sql/forget-instances.ts";
import { liveStates } from "./sql/fragments.ts";
import { readPulses } from "./sql/read-pulses.ts";
import { releaseWork } from "./sql/release-work.ts";
import { restoreTurn } from "./sql/restore-turn.ts";
import { sweepInstances } from "./sql/sweep-instances.ts";
import { sweepTasks } from "./sql/sweep-tasks.ts";
import { sweepTurns } from "./sql/sweep-turns.ts";
import { turnRowOf } from "./sql/turn-columns.ts";
import { youngestInstance } from "./sql/youngest-instance.ts";

/** Claims, hand-overs and retention in Postgres. */
export function recoveryStore(scope: Scope): RecoveryStore {
  const { prisma, agent, idempotencyWindowSeconds: windowSeconds } = scope;
  const claims = new Claims(scope);
  return {
    readPulses: () => reading(() => readPulses(prisma, agent)),
    claimWork: (request) => writing(() => claims.takeWork(request)),
    claimTask: (taskId, claimer) => writing(() => claims.takeTask(taskId, claimer)),
    beginAttempt: (turnId, { turn, ...owner }, lost) =>
      writing(async () => {
        const begin = () => beginAttempt(prisma, agent, { turnId, ...owner, lost });
        let [record] = await begin();
        if (!record && turn && (await restoreTurn(prisma, agent, turn, owner.epoch)) > 0) [record] = await begin();
        return record === undefined ? null : turnRowOf(record);
      }),
    releaseWork: (instance) => writing(() => releaseAll(scope, instance)),
    releaseTurn: (turnId, owner, run) => writing(() => releaseOne(scope, turnId, { ...owner, run })),
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
    const records = await releaseWork(prisma, { agent, instance, tasks, turns: Prisma.sql`true`, run: "handed-over" });
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
  { instance, epoch, run }: { instance: string; epoch: number; run: ReleasedRun },
): Promise<boolean> {
  const { prisma, agent } = scope;
  const tasks = Prisma.sql`t.epoch = ${epoch}::integer and t.id = (
    select u.task_id from turn u
    where u.agent = ${agent} and u.id = ${turnId} and u.purpose = 'send'
      and u.state in ('journaled', 'dispatched', 'bound')
  )`;
  const turns = Prisma.sql`u.id = ${turnId} and u.epoch = ${epoch}::integer`;
  return untilSettled(`release turn ${turnId}`, async () => {
    const records = await releaseWork(prisma, { agent, instance, tasks, turns, run });
    if (records.some(({ again }) => again)) return "again";
    return records.some((record) => record.turnId === turnId);
  });
}
