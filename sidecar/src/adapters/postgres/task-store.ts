/**
 * The record in Postgres. Statements where atomicity or speed matters are hand-written, one per file under sql/: one
 * round trip each, ownership in the WHERE, the database's clock, no session state.
 */
import type { RecoveryStore } from "../../ports/recovery-store.ts";
import type { TaskStore } from "../../ports/task-store.ts";
import { cancelStore } from "./cancels.ts";
import { instanceStore } from "./instances.ts";
import { pushConfigStore } from "./push-configs.ts";
import { recoveryStore } from "./recovery.ts";
import type { Scope } from "./scope.ts";
import { taskLog } from "./tasks.ts";
import { turnStore } from "./turns.ts";

/** A store on a migrated database, bound to one agent. `close` disconnects the client it was given. */
export type PostgresTaskStore = TaskStore & RecoveryStore;

/** Puts the parts of the store together. */
export function openPostgresTaskStore(scope: Scope): PostgresTaskStore {
  return {
    ...turnStore(scope),
    ...taskLog(scope),
    ...cancelStore(scope),
    ...pushConfigStore(scope),
    ...instanceStore(scope),
    ...recoveryStore(scope),
    close: () => scope.prisma.$disconnect(),
  };
}
