/** P1, P2, P3, P6 and I1, I2, I3, I6 under random interleavings, as one-history has them, with Python agents. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Checker, slowDownCommits } from "./support/checker.ts";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import { pythonPeersOrSkip } from "./support/python-judge.ts";
import { planWalk } from "./support/random-walk-plan.ts";
import { playConversations } from "./support/random-walk.ts";
import { PY_03, PY_1 } from "./support/subject.ts";

const built = pythonPeersOrSkip("random walks with Python agents");

const REPLICAS = 2;
const CONVERSATIONS = 16;
const ROUNDS = 3;
const ONLY_SEED = process.env["SEED"] === undefined ? null : Number(process.env["SEED"]);

describe.skipIf(!built).each([PY_1, PY_03])("replicas of an agent on $name", ({ agent, dialect }) => {
  let fleet: Fleet;
  let pool: pg.Pool;

  beforeAll(async () => {
    fleet = await startFleet({ agent, replicas: REPLICAS, env: { DRAIN_GRACE_MS: "0" } });
    pool = new pg.Pool({ connectionString: fleet.databaseUrl, max: 6 });
    await slowDownCommits(pool, 25);
  });
  afterAll(async () => {
    await pool?.end();
    await fleet?.stop();
  });

  test("P1, P2, P3, P6, I1, I2, I3, I6 hold in every round", async () => {
    const firstSeed = ONLY_SEED ?? Math.floor(Math.random() * 2 ** 31);
    console.log(`${agent}: seeds from ${firstSeed}`);
    for (let seed = firstSeed; seed < firstSeed + (ONLY_SEED === null ? ROUNDS : 1); seed += 1) {
      const { conversations } = planWalk(seed, { agent, replicas: REPLICAS, conversations: CONVERSATIONS });
      const checker = new Checker(pool, fleet.agentKey, dialect);
      await playConversations({ fleet, agent, dialect, checker }, conversations);
      await checker.verifyRecord();
      expect(checker.violations, `SEED=${seed}, ${agent} in ${dialect}`).toEqual([]);
      for (const table of ["task_event", "turn", "task"])
        await pool.query(`delete from ${table} where agent = $1`, [fleet.agentKey]);
    }
    const starts = (await fleet.starts()).map((start) => start.messageId);
    expect(starts.length, "P4, I5: every message is given to an executor once").toBe(new Set(starts).size);
  });
});
