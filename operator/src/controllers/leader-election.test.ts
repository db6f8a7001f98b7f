import { afterEach, describe, expect, test } from "vitest";
import { createMemoryCluster } from "../../test/support/memory-cluster.ts";
import { type Lease, leases } from "../kubernetes/resource-types.ts";
import type { Cluster } from "../ports/cluster.ts";
import { type Candidacy, type LeaderElectionOptions, standForElection } from "./leader-election.ts";

const lease = { name: "operator", namespace: "system" };

describe("the election", () => {
  const candidacies: Candidacy[] = [];
  afterEach(async () => {
    await Promise.all(candidacies.splice(0).map((candidacy) => candidacy.stop()));
  });

  function stand(cluster: Cluster, identity: string, options: Partial<LeaderElectionOptions> = {}): Candidacy {
    const candidacy = standForElection({
      cluster,
      lease,
      identity,
      leaseMs: 1_000,
      renewDeadlineMs: 600,
      retryMs: 50,
      onOther: () => undefined,
      onFault: () => undefined,
      ...options,
    });
    candidacies.push(candidacy);
    return candidacy;
  }

  test("has one winner, who stays it", async () => {
    const cluster = createMemoryCluster();
    const all = ["a", "b", "c"].map((identity) => stand(cluster, identity));
    await Promise.race(all.map(({ elected }) => elected));
    const before = await cluster.read(leases, lease);
    await expect
      .poll(async () => (await cluster.read(leases, lease))?.spec.renewTime, { timeout: 5_000 })
      .not.toBe(before?.spec.renewTime);
    expect(all.filter((candidacy) => candidacy.isLeading())).toHaveLength(1);
    expect((await cluster.read(leases, lease))?.spec.holderIdentity).toBe(before?.spec.holderIdentity);
  });

  test("L1: a silent holder is followed after the whole lease, not before", async () => {
    const cluster = createMemoryCluster();
    const time = new Date(Date.now() - 3_600_000).toISOString();
    const silent = { holderIdentity: "gone", leaseDurationSeconds: 1, renewTime: time, acquireTime: time };
    const taken: Lease = { metadata: lease, spec: silent };
    await cluster.create(leases, taken);
    const startedAt = performance.now();
    await stand(cluster, "b").elected;
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1_000);
    expect((await cluster.read(leases, lease))?.spec.leaseTransitions).toBe(1);
  });

  test("L2: a leader that cannot renew has lost before its lease is over", async () => {
    const cluster = createMemoryCluster();
    const leader = stand(cluster, "a", { leaseMs: 5_000, renewDeadlineMs: 500 });
    await leader.elected;
    cluster.away = true;
    const awayAt = performance.now();
    await leader.lost;
    expect(performance.now() - awayAt).toBeLessThan(5_000);
    expect(leader.isLeading()).toBe(false);
  });

  test("L2: a leader whose calls hang has lost before its lease is over", async () => {
    const cluster = createMemoryCluster();
    let renewedAt = 0;
    let hangs = false;
    const hanging: Cluster = {
      ...cluster,
      read: (...reference) => (hangs ? new Promise<never>(() => undefined) : cluster.read(...reference)),
      replace: (...change) => {
        renewedAt = performance.now();
        return cluster.replace(...change);
      },
    };
    // The ratios of the operator.
    const leader = standForElection({
      cluster: hanging,
      lease,
      identity: "a",
      leaseMs: 2_000,
      renewDeadlineMs: 1_400,
      retryMs: 400,
      onOther: () => undefined,
      onFault: () => undefined,
    });
    await leader.elected;
    await expect.poll(() => renewedAt, { timeout: 5_000 }).toBeGreaterThan(0);
    hangs = true;
    await leader.lost;
    expect(performance.now() - renewedAt).toBeLessThan(2_000);
    expect(leader.isLeading()).toBe(false);
  });

  test("L2: a leader with one renewal that hangs has time for another, and goes on", async () => {
    const cluster = createMemoryCluster();
    let [hangs, hung, renewals] = [false, 0, 0];
    const hangingOnce: Cluster = {
      ...cluster,
      read: (...reference) => {
        if (!hangs || hung > 0) return cluster.read(...reference);
        hung += 1;
        return new Promise<never>(() => undefined);
      },
      replace: (...change) => {
        renewals += hung;
        return cluster.replace(...change);
      },
    };
    const leader = stand(hangingOnce, "a", { leaseMs: 9_000, renewDeadlineMs: 6_000 });
    await leader.elected;
    hangs = true;
    await expect.poll(() => renewals, { timeout: 8_000 }).toBeGreaterThan(0);
    expect(leader.isLeading()).toBe(true);
  });

  test("L2: a leader whose Lease somebody else took has lost at once", async () => {
    const cluster = createMemoryCluster();
    const leader = stand(cluster, "a");
    await leader.elected;
    const thief = stand(cluster, "b", { preempt: true });
    await Promise.all([leader.lost, thief.elected]);
    expect([leader.isLeading(), thief.isLeading()]).toEqual([false, true]);
  });

  test("L4: who takes a Lease away leads only when its former holder has stopped, however late that looks", async () => {
    const cluster = createMemoryCluster();
    // It looks rarely, so it goes on for a while after the Lease was taken.
    const leader = stand(cluster, "a", { leaseMs: 1_000, renewDeadlineMs: 800, retryMs: 600 });
    await leader.elected;
    const takenAt = performance.now();
    const thief = stand(cluster, "b", { preempt: true });
    await thief.elected;
    expect(leader.isLeading()).toBe(false);
    expect(performance.now() - takenAt).toBeGreaterThanOrEqual(1_000);
  });

  test("L3: a leader that stops is followed at once", async () => {
    const cluster = createMemoryCluster();
    const leader = stand(cluster, "a", { leaseMs: 10_000, renewDeadlineMs: 8_000 });
    await leader.elected;
    const holders: string[] = [];
    const next = stand(cluster, "b", { onOther: (holder) => holders.push(holder) });
    await expect.poll(() => holders).toEqual(["a"]);
    const stoppedAt = performance.now();
    await leader.stop();
    await next.elected;
    expect(performance.now() - stoppedAt).toBeLessThan(5_000);
  });
});
