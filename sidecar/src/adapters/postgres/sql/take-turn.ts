import type { PrismaClient } from "../../../generated/client.ts";
import { type TurnRecord, turnColumns } from "./turn-columns.ts";

/** Journaled to dispatched by compare-and-set (I5), under the task's lock where there is one. No row: not ours. */
export async function takeTurn(
  prisma: PrismaClient,
  agent: string,
  { turnId, instance }: { turnId: string; instance: string },
): Promise<TurnRecord[]> {
  return prisma.$queryRaw`
    with held as materialized (
      select t.context_id, t.owner, t.epoch
      from task t
      where t.agent = ${agent} and t.id = (select task_id from turn where agent = ${agent} and id = ${turnId})
      for no key update
    ),
    taken as (
      update turn u set state = 'dispatched', instance = ${instance}
      where u.agent = ${agent} and u.id = ${turnId} and u.state = 'journaled'
        and case
          when u.task_id is null then u.instance = ${instance}
          else exists (select 1 from held where held.owner = ${instance})
        end
      returning u.*
    )
    select ${turnColumns}
    from taken u
    left join held t on true
    left join instance i on i.agent = ${agent} and i.id = ${instance}`;
}
