/**
 * The store as an owner may use it: past the local deadline (I7) nothing is taken, appended or ended. The refusal looks
 * like an outage to the callers, who wait and repeat; reads go through, so that committed events are still relayed.
 */
import type { RecoveryStore } from "../ports/recovery-store.ts";
import { StoreError, type TaskStore } from "../ports/task-store.ts";

/** Wraps the writes that only an owner makes, and those that make an owner. */
export function gateOwnerWrites<S extends TaskStore & RecoveryStore>(store: S, mayAct: () => boolean): S {
  const gated = <A extends unknown[], R>(write: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) => {
    return (...args) => (mayAct() ? write(...args) : Promise.reject(overdue()));
  };
  const gates = {
    journal: gated(store.journal.bind(store)),
    takeTurn: gated(store.takeTurn.bind(store)),
    endTurn: gated(store.endTurn.bind(store)),
    createTask: gated(store.createTask.bind(store)),
    append: gated(store.append.bind(store)),
    takeCancel: gated(store.takeCancel.bind(store)),
    refuseCancel: gated(store.refuseCancel.bind(store)),
    beginAttempt: gated(store.beginAttempt.bind(store)),
    claimTask: gated(store.claimTask.bind(store)),
    claimWork: gated(store.claimWork.bind(store)),
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name in gates) return gates[name as keyof typeof gates];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function overdue(): StoreError {
  return new StoreError("unavailable", "this instance has not renewed its lease in time and waits until it has");
}
