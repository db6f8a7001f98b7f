/** One run: the clients of a seed, the faults of a seed, and what must hold afterwards. */
import { emptyRecord, untilAtRest } from "../scenarios/support/at-rest.ts";
import { Checker } from "../scenarios/support/checker.ts";
import { audit } from "./audit.ts";
import { playClients } from "./clients.ts";
import { describeFault, FaultInjector } from "./faults.ts";
import { type ChaosSize, planChaos } from "./plan.ts";
import type { World } from "./world.ts";

export interface RunReport {
  seed: number;
  /** Empty when every promise was kept. */
  violations: readonly string[];
  faults: string[];
  tasks: number;
  events: number;
  /** Events that clients were shown. */
  shown: number;
  /** Executions that were started, for so many messages. */
  starts: number;
  turns: number;
  /** Messages that were tried more than once. */
  retried: number;
  seconds: number;
  /** The record as it was at the end, where a promise was broken. */
  record: string | null;
}

/**
 * Takeover, the longest backoff between attempts and the longest work together, generously. Counted from when every fault
 * is over, however long it took.
 */
const REST_MS = 30_000;

/** Plays a seed. Throws only where the run itself could not be played. */
export async function playRun(world: World, seed: number, size: Omit<ChaosSize, "pods">): Promise<RunReport> {
  const startedMs = performance.now();
  const plan = planChaos(seed, { ...size, pods: world.fleet.pods.length });
  const { pool, fleet, subject } = world;
  const checker = new Checker(pool, fleet.agentKey, subject.dialect, { patient: true });
  const [sent] = await Promise.all([playClients(world, plan, checker), new FaultInjector(world).play(plan.faults)]);
  await untilAtRest(pool, fleet.agentKey, REST_MS).catch((error: unknown) => checker.violate("P4", String(error)));
  const counts = await audit(world, { checker, plan, sent });
  const record = await checker.verifyRecord();
  const kept = checker.violations.length === 0 ? null : await dumpRecord(world);
  await emptyRecord(pool, fleet.agentKey);
  // The rows of the dead would be read by the living, run after run. Some died while the clock was ahead.
  await pool.query(
    `delete from instance
     where agent = $1 and lease_until not between now() - interval '10 s' and now() + interval '10 s'`,
    [fleet.agentKey],
  );
  return {
    seed,
    violations: checker.violations,
    faults: plan.faults.map(describeFault),
    ...record,
    ...counts,
    record: kept,
    shown: checker.shownEvents,
    seconds: (performance.now() - startedMs) / 1000,
  };
}

/** Every row of the agent, one JSON text a line. */
async function dumpRecord({ pool, fleet }: World): Promise<string> {
  const { rows } = await pool.query<{ row: string }>(
    `select to_jsonb(r)::text as row from instance r where agent = $1
     union all select to_jsonb(r)::text from task r where agent = $1
     union all select to_jsonb(r)::text from turn r where agent = $1
     union all select row from (
       select to_jsonb(r)::text as row from task_event r where agent = $1 order by task_id, generation
     ) events`,
    [fleet.agentKey],
  );
  return rows.map(({ row }) => `${row}\n`).join("");
}
