import type { TaskStore } from "../../ports/task-store.ts";
import { reading, type Scope, writing } from "./scope.ts";
import { listInstances } from "./sql/list-instances.ts";
import { registerInstance } from "./sql/register-instance.ts";
import { renewInstance } from "./sql/renew-instance.ts";

/** The part of the store that deals with instances and their leases. */
export type InstanceStore = Pick<TaskStore, "registerInstance" | "renewInstance" | "removeInstance" | "listInstances">;

/** Instances in Postgres. */
export function instanceStore({ prisma, agent }: Scope): InstanceStore {
  return {
    registerInstance: (instance, leaseMs) =>
      writing(async () => {
        await registerInstance(prisma, agent, { draining: false, ...instance, leaseMs });
      }),
    renewInstance: (id, leaseMs, draining) =>
      writing(async () => (await renewInstance(prisma, agent, { id, leaseMs, draining })) > 0),
    removeInstance: (id) =>
      writing(async () => {
        await prisma.instance.deleteMany({ where: { agent, id } });
      }),
    listInstances: () =>
      reading(async () =>
        (await listInstances(prisma, agent)).map(({ startedAtMs, ...row }) => ({
          ...row,
          startedAt: new Date(startedAtMs),
        })),
      ),
  };
}
