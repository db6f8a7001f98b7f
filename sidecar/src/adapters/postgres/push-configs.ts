import type { Dialect } from "../../protocol/dialect.ts";
import type { TaskStore } from "../../ports/task-store.ts";
import { reading, type Scope, writing } from "./scope.ts";
import { savePushConfig } from "./sql/save-push-config.ts";

/** The part of the store that deals with push configurations. */
export type PushConfigStore = Pick<TaskStore, "savePushConfig" | "deletePushConfig" | "listPushConfigs">;

/** Push configurations in Postgres. */
export function pushConfigStore({ prisma, agent }: Scope): PushConfigStore {
  return {
    savePushConfig: (config) =>
      writing(async () => {
        await savePushConfig(prisma, agent, config);
      }),
    deletePushConfig: (taskId, configId) =>
      writing(async () => {
        await prisma.pushConfig.deleteMany({ where: { agent, taskId, configId } });
      }),
    listPushConfigs: (taskId) =>
      reading(async () => {
        const rows = await prisma.pushConfig.findMany({
          where: { agent, taskId },
          select: { taskId: true, configId: true, url: true, dialect: true, sealed: true },
          orderBy: [{ createdAt: "asc" }, { configId: "asc" }],
        });
        return rows.map((row) => ({ ...row, dialect: row.dialect as Dialect }));
      }),
  };
}
