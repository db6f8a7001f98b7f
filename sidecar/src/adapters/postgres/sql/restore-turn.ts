import type { PrismaClient } from "../../../generated/client.ts";
import type { NewTurn } from "../../../ports/task-store.ts";

/**
 * Puts back a turn whose unflushed insert was lost in a crash of the server, as its instance holds it: dispatched, in
 * this epoch. Commits synchronously. Returns 0 when the id or the dedupe key is taken after all.
 */
export async function restoreTurn(prisma: PrismaClient, agent: string, turn: NewTurn, epoch: number): Promise<number> {
  return prisma.$executeRaw`
    insert into turn (
      id, agent, tenant, caller, purpose, dialect, method, path, body, headers, context_id, task_id, instance, epoch,
      state, aside, dedupe_key
    )
    values (
      ${turn.id}, ${agent}, ${turn.tenant}, ${turn.caller}, ${turn.purpose}, ${turn.dialect}, ${turn.method},
      ${turn.path}, ${turn.body}, ${turn.headers}::bytea, ${turn.contextId}::text, ${turn.taskId}::text,
      ${turn.instance}, ${epoch}::integer, 'dispatched', ${turn.aside}, ${turn.dedupeKey}::text
    )
    on conflict do nothing`;
}
