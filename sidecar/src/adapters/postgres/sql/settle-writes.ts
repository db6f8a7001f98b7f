import type { PrismaClient } from "../../../generated/client.ts";
import type { TaskWrite } from "../../../ports/task-store.ts";

/** What the record holds where a write would have been; nulls where there is no such row. */
export interface SettleRecord {
  number: number;
  epoch: number | null;
  generation: number | null;
  /** Epoch of the event that stands in the place of the write's last one. */
  lastEpoch: number | null;
  turnEnded: boolean | null;
}

/** Looks at the places several writes would have filled, in the order given. */
export async function settleWrites(prisma: PrismaClient, agent: string, writes: TaskWrite[]): Promise<SettleRecord[]> {
  const numbers = writes.map((_, number) => number);
  const taskIds = writes.map((write) => write.taskId);
  const lasts = writes.map((write) => write.expected + write.events.length);
  const turnIds = writes.map((write) => write.end?.turnId ?? null);
  return prisma.$queryRaw`
    select
      w.number, t.epoch, t.generation, e.epoch as "lastEpoch", u.ended_at is not null as "turnEnded"
    from unnest(${numbers}::integer[], ${taskIds}::text[], ${lasts}::integer[], ${turnIds}::text[])
      as w (number, task_id, last, turn_id)
    left join task t on t.agent = ${agent} and t.id = w.task_id
    left join task_event e on e.agent = ${agent} and e.task_id = w.task_id and e.generation = w.last
    left join turn u on u.agent = ${agent} and u.id = w.turn_id
    order by w.number`;
}
