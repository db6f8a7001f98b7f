/** Everything a run needs, each part of it replaceable: pods, a Postgres and a nats-server, and links that can be cut. */
import pg from "pg";
import { startNats, type TestNats } from "../../sidecar/test/support/nats.ts";
import { type FakeClock, openFakeClock } from "../scenarios/support/fake-clock.ts";
import { type OwnPostgres, startOwnPostgres } from "../scenarios/support/own-services.ts";
import { type PodFleet, startPods } from "../scenarios/support/pods.ts";
import type { Subject } from "../scenarios/support/subject.ts";
import { type Link, openLink } from "./link.ts";
import type { ClockOf } from "./plan.ts";

/** Short, so that takeovers happen within a run; long enough for a busy machine to renew in time. */
export const LEASE_MS = 1_500;
const GRACE_MS = 1_000;
/** The pod whose sidecar has a clock of its own. */
const POD_WITH_CLOCK = 0;
/** Executor starts per message, hand-overs not counted. */
export const MAX_ATTEMPTS = 4;

export interface World {
  readonly subject: Subject;
  readonly fleet: PodFleet;
  readonly postgres: OwnPostgres;
  readonly nats: TestNats;
  /** Each pod's own way to Postgres and NATS. */
  readonly links: readonly { postgres: Link; nats: Link }[];
  /** What Postgres and one of the sidecars take for the time; all others have the machine's. */
  readonly clocks: Readonly<Record<ClockOf, FakeClock>>;
  readonly pool: pg.Pool;
  close(): Promise<void>;
}

export async function openWorld(subject: Subject, pods: number): Promise<World> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const closer of closers.toReversed()) await closer();
  };
  try {
    const clocks = { postgres: await openFakeClock(), sidecar: await openFakeClock() };
    closers.push(() => Promise.all([clocks.postgres.close(), clocks.sidecar.close()]));
    const postgres = await startOwnPostgres({ program: (program) => clocks.postgres.wrap(program) });
    closers.push(() => postgres.close());
    const nats = await startNats();
    closers.push(() => nats.close());
    const links = await Promise.all(
      Array.from({ length: pods }, async () => ({
        postgres: await openLink(postgres.port),
        nats: await openLink(nats.port),
      })),
    );
    closers.push(() => Promise.all(links.flatMap((link) => [link.postgres.close(), link.nats.close()])));
    const databaseUrl = (port: number) => Object.assign(new URL(postgres.databaseUrl), { port }).href;
    const fleet = await startPods({
      agent: subject.agent,
      flags: subject.flags,
      pods,
      env: {
        LEASE_MS: String(LEASE_MS),
        DRAIN_GRACE_MS: String(GRACE_MS),
        RECOVERY_MAX_ATTEMPTS: String(MAX_ATTEMPTS),
        LOG_LEVEL: "debug",
      },
      servicesOf: (pod) => ({
        databaseUrl: databaseUrl(links[pod]?.postgres.port ?? 0),
        natsUrl: `nats://127.0.0.1:${links[pod]?.nats.port}`,
        ...(pod === POD_WITH_CLOCK && { env: clocks.sidecar.env }),
      }),
    });
    closers.push(() => fleet.stop());
    const pool = new pg.Pool({ connectionString: postgres.databaseUrl, max: 4 });
    // A server that goes away ends idle connections.
    pool.on("error", () => undefined);
    closers.push(() => pool.end());
    return { subject, fleet, postgres, nats, links, clocks, pool, close };
  } catch (error) {
    await close();
    throw error;
  }
}
