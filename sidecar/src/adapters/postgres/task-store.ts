/**
 * The record in Postgres. Statements where atomicity or speed matters are hand-written, one per file under sql/: one
 * round trip each, ownership in the WHERE, the database's clock, no session state.
 */
import type { TaskStore } from "../../ports/task-store.ts";
import { cancelStore } from "./cancels.ts";
import { instanceStore } from "./instances.ts";
import { pushConfigStore } from "./push-configs.ts";
import type { Scope } from "./scope.ts";
import { taskLog } from "./tasks.ts";
import { turnStore } from "./turns.ts";

/** A store on a migrated database, bound to one agent. `close` disconnects the client it was given. */
export class PostgresTaskStore implements TaskStore {
  readonly journal: TaskStore["journal"];
  readonly readTurn: TaskStore["readTurn"];
  readonly readTurns: TaskStore["readTurns"];
  readonly takeTurn: TaskStore["takeTurn"];
  readonly reassignTurn: TaskStore["reassignTurn"];
  readonly endTurn: TaskStore["endTurn"];
  readonly releaseQueue: TaskStore["releaseQueue"];
  readonly findWork: TaskStore["findWork"];
  readonly lastInstance: TaskStore["lastInstance"];
  readonly createTask: TaskStore["createTask"];
  readonly append: TaskStore["append"];
  readonly settle: TaskStore["settle"];
  readonly readTask: TaskStore["readTask"];
  readonly readView: TaskStore["readView"];
  readonly readEvents: TaskStore["readEvents"];
  readonly readPositions: TaskStore["readPositions"];
  readonly listTasks: TaskStore["listTasks"];
  readonly countTasks: TaskStore["countTasks"];
  readonly requestCancel: TaskStore["requestCancel"];
  readonly takeCancel: TaskStore["takeCancel"];
  readonly refuseCancel: TaskStore["refuseCancel"];
  readonly deposeAndCancel: TaskStore["deposeAndCancel"];
  readonly savePushConfig: TaskStore["savePushConfig"];
  readonly deletePushConfig: TaskStore["deletePushConfig"];
  readonly listPushConfigs: TaskStore["listPushConfigs"];
  readonly registerInstance: TaskStore["registerInstance"];
  readonly renewInstance: TaskStore["renewInstance"];
  readonly removeInstance: TaskStore["removeInstance"];
  readonly listInstances: TaskStore["listInstances"];
  readonly close: TaskStore["close"];

  constructor(scope: Scope) {
    const turns = turnStore(scope);
    this.journal = turns.journal;
    this.readTurn = turns.readTurn;
    this.readTurns = turns.readTurns;
    this.takeTurn = turns.takeTurn;
    this.reassignTurn = turns.reassignTurn;
    this.endTurn = turns.endTurn;
    this.releaseQueue = turns.releaseQueue;
    this.findWork = turns.findWork;
    this.lastInstance = turns.lastInstance;
    const tasks = taskLog(scope);
    this.createTask = tasks.createTask;
    this.append = tasks.append;
    this.settle = tasks.settle;
    this.readTask = tasks.readTask;
    this.readView = tasks.readView;
    this.readEvents = tasks.readEvents;
    this.readPositions = tasks.readPositions;
    this.listTasks = tasks.listTasks;
    this.countTasks = tasks.countTasks;
    const cancels = cancelStore(scope);
    this.requestCancel = cancels.requestCancel;
    this.takeCancel = cancels.takeCancel;
    this.refuseCancel = cancels.refuseCancel;
    this.deposeAndCancel = cancels.deposeAndCancel;
    const pushConfigs = pushConfigStore(scope);
    this.savePushConfig = pushConfigs.savePushConfig;
    this.deletePushConfig = pushConfigs.deletePushConfig;
    this.listPushConfigs = pushConfigs.listPushConfigs;
    const instances = instanceStore(scope);
    this.registerInstance = instances.registerInstance;
    this.renewInstance = instances.renewInstance;
    this.removeInstance = instances.removeInstance;
    this.listInstances = instances.listInstances;
    this.close = () => scope.prisma.$disconnect();
  }
}
