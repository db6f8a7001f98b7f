import type { PrismaClient } from "../../../generated/client.ts";
import type { TurnEnd } from "../../../ports/task-store.ts";
import { replyColumnsOf } from "./turn-columns.ts";

/** What became of the end of a turn that has no task; `taskId` is set when it has one and another statement ends it. */
export interface EndRecord {
  ended: boolean;
  exists: boolean;
  taskId: string | null;
}

/**
 * Ends a dispatched turn without a task where it is still ours (I2). An error reply gives up the dedupe key. The same
 * end again counts as ended: the first reply may have been lost.
 */
export async function endUnboundTurn(
  prisma: PrismaClient,
  agent: string,
  end: TurnEnd & { epoch: number; instance: string; windowSeconds: number },
): Promise<EndRecord> {
  const reply = replyColumnsOf(end.reply);
  const rows: EndRecord[] = await prisma.$queryRaw`
    with ended as (
      update turn u set
        state = ${end.state},
        reply_kind = ${reply.kind}::text,
        reply_status = ${reply.status}::integer,
        reply_headers = ${reply.headers}::text,
        reply_body = ${reply.body}::text,
        headers = null,
        dedupe_key = case when ${reply.kind}::text = 'error' then null else u.dedupe_key end,
        ended_at = now(),
        expires_at = now() + make_interval(secs => ${end.windowSeconds}::integer)
      where u.agent = ${agent} and u.id = ${end.turnId} and u.task_id is null and u.state = 'dispatched'
        and u.instance = ${end.instance} and u.epoch = ${end.epoch}::integer
      returning u.id
    )
    select
      exists (select 1 from ended) or exists (
        select 1 from turn u
        where u.agent = ${agent} and u.id = ${end.turnId} and u.task_id is null and u.state = ${end.state}
          and u.instance = ${end.instance} and u.epoch = ${end.epoch}::integer
          and u.reply_body is not distinct from ${reply.body}::text
      ) as ended,
      exists (select 1 from turn where agent = ${agent} and id = ${end.turnId}) as exists,
      (select task_id from turn where agent = ${agent} and id = ${end.turnId}) as "taskId"`;
  return rows[0] ?? { ended: false, exists: false, taskId: null };
}
