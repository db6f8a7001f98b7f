/**
 * The record as a caller's side asks it: a connection that broke, or a server that is just restarting, costs the caller a
 * moment and no error. Only what may be repeated is in here; after the patience the call is refused as retryable (P11).
 */
import type { TaskStore } from "../ports/task-store.ts";
import type { FlowContext } from "./flow-context.ts";
import { retryStore } from "./retry-store.ts";

const READ_PATIENCE_MS = 2_000;

/** The same context with a store whose reads, and the setting of a cancel mark, are repeated for a while. */
export function withPatientReads(context: FlowContext): FlowContext {
  const { store } = context;
  const patient = <A extends unknown[], R>(call: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) => {
    return (...args) => retryStore(context, () => call(...args), READ_PATIENCE_MS);
  };
  const patiently = {
    readTask: patient(store.readTask.bind(store)),
    readView: patient(store.readView.bind(store)),
    listTasks: patient(store.listTasks.bind(store)),
    lastInstance: patient(store.lastInstance.bind(store)),
    listPushConfigs: patient(store.listPushConfigs.bind(store)),
    requestCancel: patient(store.requestCancel.bind(store)),
  } satisfies Partial<TaskStore>;
  const wrapped = new Proxy(store, {
    get: (target, name) => {
      if (name in patiently) return patiently[name as keyof typeof patiently];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...context, store: wrapped };
}
