/** Does to a world what a plan says, and puts everything right again. */
import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "../../sidecar/test/support/wait.ts";
import type { ClockOf, Fault, TimedFault } from "./plan.ts";
import { LEASE_MS, type World } from "./world.ts";

/** Works on one thing come one after the other: nothing is started twice. */
class Turnstile {
  #tail: Promise<unknown> = Promise.resolve();

  pass<T>(work: () => Promise<T>): Promise<T> {
    const passed = this.#tail.then(work);
    this.#tail = passed.catch(() => undefined);
    return passed;
  }
}

export class FaultInjector {
  readonly #world: World;
  readonly #pods: Turnstile[];
  readonly #postgres = new Turnstile();
  readonly #nats = new Turnstile();
  readonly #clocks = new Turnstile();
  /** How far each clock is off: jumps add up. */
  readonly #offsets: Record<ClockOf, number> = { postgres: 0, sidecar: 0 };
  #postgresDown = false;

  constructor(world: World) {
    this.#world = world;
    this.#pods = world.fleet.pods.map(() => new Turnstile());
  }

  /** Resolves when every fault is over and everything is as it was. */
  async play(faults: readonly TimedFault[]): Promise<void> {
    await Promise.all(
      faults.map(async ({ atMs, fault }) => {
        await sleep(atMs);
        await this.#inject(fault);
      }),
    );
    await this.#heal();
  }

  async #inject(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case "kill":
        await this.#pod(fault.pod).kill(fault.part);
        await sleep(fault.awayMs);
        return this.#restore(fault.pod);
      case "pause":
        await this.#pod(fault.pod).signal(fault.part, "SIGSTOP");
        await sleep(fault.awayMs);
        return this.#pod(fault.pod).signal(fault.part, "SIGCONT");
      case "replace":
        return this.#replace(fault.pod);
      case "nats":
        return this.#nats.pass(() => this.#takeNats(fault.awayMs));
      case "partition":
        return this.#partition(fault);
      case "postgres":
        return this.#postgres.pass(() => this.#takePostgres(fault));
      case "disconnect":
        return this.#disconnect();
      case "half-open":
        return this.#halfOpen(fault);
      case "clock":
        await this.#jump(fault.of, fault.seconds);
        await sleep(fault.awayMs);
        return this.#jump(fault.of, -fault.seconds);
    }
  }

  #replace(pod: number): Promise<void> {
    return this.#turnstile(pod).pass(async () => {
      await this.#pod(pod).signal("pod", "SIGCONT");
      await this.#pod(pod).terminate(10_000);
      await this.#pod(pod).start("pod", "live");
    });
  }

  async #takeNats(awayMs: number): Promise<void> {
    await this.#world.nats.stop();
    await sleep(awayMs);
    await this.#world.nats.restart();
  }

  async #partition({ pod, awayMs }: Extract<Fault, { kind: "partition" }>): Promise<void> {
    const link = this.#world.links[pod]?.nats;
    link?.refuse(true);
    link?.cut();
    await sleep(awayMs);
    link?.refuse(false);
  }

  async #takePostgres({ how, awayMs }: Extract<Fault, { kind: "postgres" }>): Promise<void> {
    this.#postgresDown = true;
    await this.#world.postgres[how]();
    await sleep(awayMs);
    await this.#world.postgres.start();
    this.#postgresDown = false;
  }

  async #disconnect(): Promise<void> {
    if (this.#postgresDown) return;
    const { postgres } = this.#world;
    // It may be taken away at this very moment.
    await postgres.disconnectClients(new URL(postgres.databaseUrl).pathname.slice(1)).catch(() => 0);
  }

  async #halfOpen(fault: Extract<Fault, { kind: "half-open" }>): Promise<void> {
    const link = this.#world.links[fault.pod]?.[fault.of];
    link?.silence(true);
    await sleep(fault.awayMs);
    if (fault.breaks) link?.cut();
    link?.silence(false);
  }

  #jump(of: ClockOf, seconds: number): Promise<void> {
    this.#offsets[of] += seconds;
    return this.#clocks.pass(() => this.#world.clocks[of].set(this.#offsets[of]));
  }

  /** Starts what is missing: of a pod that is gone altogether, a new one. */
  #restore(pod: number): Promise<void> {
    const target = this.#pod(pod);
    return this.#turnstile(pod).pass(async () => {
      const [agent, sidecar] = [target.runs("agent"), target.runs("sidecar")];
      if (!agent || !sidecar) await target.start(agent ? "sidecar" : sidecar ? "agent" : "pod", "live");
    });
  }

  async #heal(): Promise<void> {
    const { fleet, links } = this.#world;
    await Promise.all(fleet.pods.map((pod) => pod.signal("pod", "SIGCONT")));
    for (const { postgres, nats } of links) {
      for (const link of [postgres, nats]) link.silence(false);
      nats.refuse(false);
    }
    await Promise.all(fleet.pods.map((_, pod) => this.#restore(pod)));
    const ready = async () => (await Promise.all(fleet.pods.map((pod) => pod.ready()))).every(Boolean);
    await waitFor(ready, { deadlineMs: 20_000, intervalMs: 50, message: "all pods are ready again" });
    await this.#leasesOnPresentClock();
  }

  /** A lease from before a jump is seen as over, or as running for an hour, until its owner renews it. */
  async #leasesOnPresentClock(): Promise<void> {
    const { fleet, pool } = this.#world;
    const renewed = async () => {
      const { rows } = await pool.query<{ id: string }>(
        `select id from instance
         where agent = $1 and lease_until between now() and now() + $2::integer * interval '1 millisecond'`,
        [fleet.agentKey, LEASE_MS],
      );
      return rows.length >= fleet.pods.length;
    };
    await waitFor(renewed, { deadlineMs: 20_000, intervalMs: 50, message: "all instances have renewed their leases" });
  }

  #pod(pod: number) {
    const found = this.#world.fleet.pods[pod];
    if (found === undefined) throw new Error(`there is no pod ${pod}`);
    return found;
  }

  #turnstile(pod: number): Turnstile {
    return this.#pods[pod] as Turnstile;
  }
}

/** One line about a fault. */
export function describeFault({ atMs, fault }: TimedFault): string {
  const { kind, ...rest } = fault;
  return `${atMs} ms: ${kind} ${JSON.stringify(rest)}`;
}
