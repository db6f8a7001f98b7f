import type { PrismaClient } from "../../../generated/client.ts";
import { type TurnRecord, turnColumns } from "./turn-columns.ts";

/**
 * One more attempt of a turn the instance still holds in this epoch, on turn and task; the attempt's ids at the agent are
 * not known yet. No row: it is somebody else's, or over. Only its holder counts attempts within an epoch, so a row that
 * has counted already is this very call's, whose reply was lost.
 */
export async function beginAttempt(
  prisma: PrismaClient,
  agent: string,
  { turnId, instance, epoch, lost }: { turnId: string; instance: string; epoch: number; lost: number },
): Promise<TurnRecord[]> {
  return prisma.$queryRaw`
    with held as materialized (
      select t.id, t.context_id, t.owner, t.epoch
      from task t
      where t.agent = ${agent} and t.id = (select task_id from turn where agent = ${agent} and id = ${turnId})
        and t.owner = ${instance} and t.epoch = ${epoch}::integer and t.finished_at is null
      for no key update
    ),
    begun as (
      update turn u set attempt = ${lost}::integer + 1
      where u.agent = ${agent} and u.id = ${turnId} and u.purpose = 'send' and u.state in ('dispatched', 'bound')
        and u.attempt in (${lost}::integer, ${lost}::integer + 1)
        and case
          when u.task_id is null then u.instance = ${instance} and u.epoch = ${epoch}::integer
          else exists (select 1 from held where held.id = u.task_id)
        end
      returning u.*
    ),
    marked as (
      update task t set attempt = b.attempt, agent_task_id = ''
      from begun b
      where t.agent = ${agent} and t.id = b.task_id
    )
    select ${turnColumns}
    from begun u
    left join held t on t.id = u.task_id
    left join instance i on i.agent = ${agent} and i.id = ${instance}`;
}
