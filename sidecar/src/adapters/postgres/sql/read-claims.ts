import type { PrismaClient } from "../../../generated/client.ts";
import { type TaskRecord, taskColumns } from "./task-columns.ts";
import { type TurnRecord, turnColumns } from "./turn-columns.ts";

/** A row with the receipt of the claim that took it. */
export type Claimed<R> = R & { claim: string };

/** Tasks taken by these claims that are still the claimer's, in the order they were made. */
export async function readClaimedTasks(
  prisma: PrismaClient,
  agent: string,
  { self, receipts }: { self: string; receipts: string[] },
): Promise<Claimed<TaskRecord>[]> {
  return prisma.$queryRaw`
    select ${taskColumns}, t.claim
    from task t
    left join instance i on i.agent = t.agent and i.id = t.owner
    where t.agent = ${agent} and t.owner = ${self} and t.finished_at is null
      and split_part(t.claim, ' ', 1) = any(${receipts}::text[])
    order by t.created_at, t.id`;
}

/** Turns taken by these claims that are still the claimer's and have not ended, oldest first. */
export async function readClaimedTurns(
  prisma: PrismaClient,
  agent: string,
  { self, receipts }: { self: string; receipts: string[] },
): Promise<Claimed<TurnRecord>[]> {
  return prisma.$queryRaw`
    select ${turnColumns}, u.claim
    from turn u
    left join task t on t.agent = u.agent and t.id = u.task_id
    left join instance i on i.agent = ${agent} and i.id = ${self}
    where u.agent = ${agent} and u.instance = ${self} and u.state in ('dispatched', 'bound')
      and split_part(u.claim, ' ', 1) = any(${receipts}::text[])
    order by u.seq`;
}
