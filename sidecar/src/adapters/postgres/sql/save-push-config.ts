import type { PrismaClient } from "../../../generated/client.ts";
import type { PushConfigRow } from "../../../ports/task-store.ts";

/** Stores a configuration, replacing the one of the same id. */
export async function savePushConfig(prisma: PrismaClient, agent: string, config: PushConfigRow): Promise<number> {
  return prisma.$executeRaw`
    insert into push_config (agent, task_id, config_id, url, dialect, sealed)
    values (${agent}, ${config.taskId}, ${config.configId}, ${config.url}, ${config.dialect}, ${config.sealed}::bytea)
    on conflict (agent, task_id, config_id) do update set
      url = excluded.url, dialect = excluded.dialect, sealed = excluded.sealed, updated_at = now()`;
}
