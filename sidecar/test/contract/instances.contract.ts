import { describe, expect, it } from "vitest";
import type { OpenStore } from "./task-store.contract.ts";
import { LEASE_MS, startTask } from "./task-store-rows.ts";

export function describeInstances(open: OpenStore): void {
  describe("instances", () => {
    it("lists who is registered and who is alive", async () => {
      const store = await open();
      const before = Date.now();
      await store.registerInstance({ id: "a", podName: "pod-a", podUid: "uid-a" }, LEASE_MS);
      await store.registerInstance({ id: "b", podName: "pod-b", podUid: "uid-b" }, -LEASE_MS);
      const [a, b] = (await store.listInstances()).sort((x, y) => (x.id < y.id ? -1 : 1));
      expect(a).toMatchObject({ id: "a", podName: "pod-a", podUid: "uid-a", draining: false, alive: true });
      expect(Math.abs((a?.startedAt.getTime() ?? 0) - before)).toBeLessThan(60_000);
      expect(b).toMatchObject({ id: "b", alive: false });
      await store.removeInstance("a");
      expect((await store.listInstances()).map(({ id }) => id)).toEqual(["b"]);
    });

    it("a renewal revives a lease; one that is not registered is told", async () => {
      const store = await open();
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, -LEASE_MS);
      expect(await store.renewInstance("a", LEASE_MS, false)).toBe(true);
      expect(await store.listInstances()).toMatchObject([{ alive: true }]);
      expect(await store.renewInstance("a", LEASE_MS, true)).toBe(true);
      expect(await store.listInstances()).toMatchObject([{ alive: false, draining: true }]);
      expect(await store.renewInstance("nobody", LEASE_MS, false)).toBe(false);
    });

    it("a task says whether its owner is alive", async () => {
      const store = await open();
      const { taskId } = await startTask(store);
      expect(await store.readTask(taskId)).toMatchObject({ owner: "a", ownerAlive: false });
      await store.registerInstance({ id: "a", podName: "", podUid: "" }, LEASE_MS);
      expect(await store.readTask(taskId)).toMatchObject({ ownerAlive: true });
      expect((await store.readView(taskId))?.task.ownerAlive).toBe(true);
      await store.renewInstance("a", LEASE_MS, true);
      expect(await store.readTask(taskId)).toMatchObject({ ownerAlive: false });
    });
  });
}
