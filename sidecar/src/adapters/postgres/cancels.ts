import { isTerminal } from "../../domain/task-state.ts";
import type { TaskStore } from "../../ports/task-store.ts";
import { type Scope, untilSettled, writing } from "./scope.ts";
import { deposeAndCancel } from "./sql/depose-and-cancel.ts";
import { refuseCancel } from "./sql/refuse-cancel.ts";
import { requestCancel } from "./sql/request-cancel.ts";
import { takeCancel } from "./sql/take-cancel.ts";
import { taskRowOf } from "./sql/task-columns.ts";

/** The part of the store that deals with cancel marks. */
export type CancelStore = Pick<TaskStore, "requestCancel" | "takeCancel" | "refuseCancel" | "deposeAndCancel">;

/** Cancel marks in Postgres. */
export function cancelStore(scope: Scope): CancelStore {
  const { prisma, agent } = scope;
  const settings = { agent, windowSeconds: scope.idempotencyWindowSeconds };
  return {
    requestCancel: (taskId, headers) =>
      writing(async () => {
        const [record] = await requestCancel(prisma, agent, { taskId, headers });
        if (record === undefined) return { kind: "no-task" };
        const task = taskRowOf(record);
        return { kind: isTerminal(task.state) ? "terminal" : "marked", task };
      }),
    takeCancel: (taskId, owner) =>
      writing(async () => {
        const [record] = await takeCancel(prisma, agent, { taskId, owner });
        return record === undefined ? null : taskRowOf(record);
      }),
    refuseCancel: (taskId, epoch, error) =>
      writing(async () => (await refuseCancel(prisma, agent, { taskId, epoch, error })) > 0),
    deposeAndCancel: (write) =>
      writing(() =>
        untilSettled(`depose the owner of task ${write.taskId}`, async () => {
          const [record] = await deposeAndCancel(prisma, settings, write);
          if (record === undefined) return null;
          return record.again ? "again" : { epoch: record.epoch, ended: record.ended ?? [] };
        }),
      ),
  };
}
