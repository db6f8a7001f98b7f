/** Waiting until nothing is left to be done with an agent's tasks. */
import type pg from "pg";
import { waitFor } from "../../../sidecar/test/support/wait.ts";

const AT_REST = ["completed", "failed", "canceled", "rejected", "input-required"];

/** Nothing is left working and no turn is left in flight (P4). Rejects with what is left over. */
export async function untilAtRest(pool: pg.Pool, agentKey: string, deadlineMs = 10_000): Promise<void> {
  let open: unknown[] = [];
  await waitFor(
    async () => {
      const { rows } = await pool.query(
        `select 'task' as kind, id, state, owner, attempt from task where agent = $1 and state <> all($2)
         union all
         select 'turn', id, state, instance, attempt from turn where agent = $1 and state not in ('done', 'failed')`,
        [agentKey, AT_REST],
      );
      open = rows;
      return rows.length === 0;
    },
    { deadlineMs, intervalMs: 30, message: () => `P4: left over are ${JSON.stringify(open)}` },
  );
}

/** Forgets every task of an agent; only at rest. */
export async function emptyRecord(pool: pg.Pool, agentKey: string): Promise<void> {
  for (const table of ["task_event", "turn", "task"]) {
    await pool.query(`delete from ${table} where agent = $1`, [agentKey]);
  }
}
