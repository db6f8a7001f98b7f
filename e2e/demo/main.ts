/**
 * The demo (`make demo`): three replicas of an unmodified agent behind a round-robin balancer, first alone, then with
 * sidecars, played by the published SDK clients. Exit code 0 only if everything turned out as expected.
 *
 * `KEEP=1` leaves the replicas with sidecars running and prints calls to try. Otherwise nothing is left behind.
 * `--only without` and `--only with` play one act.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startNats } from "../../sidecar/test/support/nats.ts";
import { startPostgres } from "../../sidecar/test/support/postgres.ts";
import { stopAllProcesses } from "../../sidecar/test/support/processes.ts";
import type { Backing } from "../support/replica.ts";
import { migrateDatabase, requireBuiltSidecar } from "../support/replica.ts";
import { playWith } from "./act-with.ts";
import { playWithout } from "./act-without.ts";
import type { Fleet } from "./fleet.ts";
import { startFleet } from "./fleet.ts";
import type { Flavour } from "./flavour.ts";
import { flavours } from "./flavour.ts";
import { Timeline } from "./timeline.ts";
import { printCallsToTry } from "./try-it.ts";

/** Shorter than the defaults, so that nobody has to wait long for what follows a crash. */
const LEASE_MS = 2_000;
const GRACE_MS = 2_000;

/** What has to be undone at the end, the last first. */
class CleanUp {
  readonly #steps: (() => Promise<unknown>)[] = [];
  #running: Promise<void> | null = null;

  add(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  /** Undoes everything once, whatever fails; a second call waits for the first. */
  run(): Promise<void> {
    this.#running ??= this.#undo();
    return this.#running;
  }

  async #undo(): Promise<void> {
    for (const step of this.#steps.toReversed()) {
      await step().catch((error: unknown) => process.stderr.write(`clean-up: ${String(error)}\n`));
    }
    await stopAllProcesses();
  }
}

interface Stage {
  timeline: Timeline;
  cleanUp: CleanUp;
  directory: string;
}

async function firstAct({ timeline, cleanUp, directory }: Stage): Promise<void> {
  timeline.act(
    "ACT ONE  Plain agents",
    "Three replicas of each agent behind a round-robin balancer, nothing in between.",
  );
  for (const flavour of flavours) {
    const fleet = await startFleet({ flavour, backing: null, directory });
    const stop = once(() => fleet.stop());
    cleanUp.add(stop);
    await playWithout(timeline, flavour, fleet);
    await stop();
  }
}

async function secondAct(stage: Stage): Promise<{ flavour: Flavour; fleet: Fleet }[]> {
  const { timeline, cleanUp, directory } = stage;
  timeline.act(
    "ACT TWO  The same agents with a sidecar each",
    "One Postgres and one nats-server of their own, on random ports.",
  );
  const backing = await startBacking(cleanUp);
  const open: { flavour: Flavour; fleet: Fleet }[] = [];
  for (const flavour of flavours) {
    const agentKey = `demo/default/${flavour.agent}`;
    const fleet = await startFleet({ flavour, backing: { ...backing, agentKey }, directory });
    cleanUp.add(() => fleet.stop());
    open.push({ flavour, fleet });
    await playWith(timeline, flavour, fleet);
  }
  return open;
}

async function startBacking(cleanUp: CleanUp): Promise<Omit<Backing, "agentKey">> {
  const [postgres, nats] = await Promise.all([startPostgres(), startNats()]);
  cleanUp.add(() => postgres.close());
  cleanUp.add(() => nats.close());
  const database = await postgres.createDatabase();
  await migrateDatabase(database.url);
  const secretKey = randomBytes(32).toString("base64");
  const env = { LEASE_MS: String(LEASE_MS), DRAIN_GRACE_MS: String(GRACE_MS) };
  return { databaseUrl: database.url, natsUrl: nats.url, secretKey, env };
}

/** 0 only if every expectation held. */
function verdict(timeline: Timeline): number {
  const { held, broken } = timeline;
  timeline.line();
  if (broken.length === 0) {
    timeline.line(`  All ${held} expectations held, in ${(timeline.elapsedMs / 1000).toFixed(1)} s.`);
    return 0;
  }
  timeline.line(`  ${broken.length} of ${held + broken.length} expectations did not hold:`);
  for (const sentence of broken) timeline.line(`    ✗ ${sentence}`);
  return 1;
}

async function play(stage: Stage, only: string | undefined): Promise<number> {
  if (only !== "with") await firstAct(stage);
  if (only === "without") return verdict(stage.timeline);
  const open = await secondAct(stage);
  const code = verdict(stage.timeline);
  if (process.env["KEEP"] === "1") {
    printCallsToTry(stage.timeline, open);
    await new Promise<never>(() => {});
  }
  return code;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: "string" } } });
  if (values.only !== "without") requireBuiltSidecar();
  const timeline = new Timeline(process.stdout);
  const cleanUp = new CleanUp();
  const directory = await mkdtemp(join(tmpdir(), "durable-agent-demo-"));
  cleanUp.add(() => rm(directory, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void cleanUp.run().then(() => process.exit(signal === "SIGINT" ? 130 : 143)));
  }
  let code = 1;
  try {
    code = await play({ timeline, cleanUp, directory }, values.only);
  } catch (error) {
    timeline.line(`\n  The demo broke off: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    await cleanUp.run();
  }
  // The SDK clients keep sockets to the replicas that are gone; there is nothing left to wait for.
  process.exit(code);
}

function once(step: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  return () => {
    done ??= step();
    return done;
  };
}

await main();
