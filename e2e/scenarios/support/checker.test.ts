/** The checker finds what is wrong with a record and with what was shown of it, and nothing where all is well. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDatabase } from "../../../sidecar/test/support/database.ts";
import type { TestDatabase } from "../../../sidecar/test/support/postgres.ts";
import { Checker } from "./checker.ts";

const AGENT = "e2e/scenarios/checker";

interface EventRow {
  generation: number;
  epoch: number;
  kind: "task" | "status" | "artifact";
  body: object;
}

interface Case {
  state?: string;
  generation?: number;
  snapshot?: object;
  change?: (events: EventRow[]) => EventRow[];
  show?: (checker: Checker) => void;
}

const chunk = (text: string, append: boolean) => ({
  taskId: "t",
  contextId: "c",
  artifact: { artifactId: "a", parts: [{ text }] },
  append,
});
const status = (state: string) => ({ taskId: "t", contextId: "c", status: { state: `TASK_STATE_${state}` } });
const submitted = { id: "t", contextId: "c", status: { state: "TASK_STATE_SUBMITTED" } };
const finished = {
  id: "t",
  contextId: "c",
  status: { state: "TASK_STATE_COMPLETED" },
  artifacts: [{ artifactId: "a", parts: [{ text: "1 " }, { text: "2 " }] }],
};

/** A task that counts to two. */
const WELL: EventRow[] = [
  { generation: 1, epoch: 1, kind: "task", body: { task: submitted } },
  { generation: 2, epoch: 1, kind: "artifact", body: { artifactUpdate: chunk("1 ", false) } },
  { generation: 3, epoch: 2, kind: "artifact", body: { artifactUpdate: chunk("2 ", true) } },
  { generation: 4, epoch: 2, kind: "status", body: { statusUpdate: status("COMPLETED") } },
];

const shown = (generation: number, body: object) => ({
  reader: "a reader",
  taskId: "t",
  generation,
  payload: JSON.stringify(body),
});
const shownTask = (task: object, generation: number | null, notBefore = 0) => ({
  reader: "a reader",
  taskId: "t",
  task: JSON.stringify(task),
  generation,
  notBefore,
});
const at = (n: number): object => WELL[n - 1]?.body ?? {};

const rows: [string, Case, string[]][] = [
  [
    "a task that was shown as it is",
    {
      snapshot: finished,
      show: (checker) => {
        for (const { generation, body } of WELL) checker.shown(shown(generation, body));
        checker.shownTask(shownTask(finished, null, 4));
        checker.shownTask(shownTask(submitted, 1));
      },
    },
    [],
  ],
  ["an event that is gone", { change: (events) => events.filter(({ generation }) => generation !== 3) }, ["I1"]],
  ["a last event that is gone", { change: (events) => events.slice(0, -1) }, ["I1"]],
  [
    "a deposed owner that recorded",
    { change: (events) => events.map((event) => (event.generation === 4 ? { ...event, epoch: 1 } : event)) },
    ["I2"],
  ],
  [
    "a finished task that went on",
    {
      generation: 5,
      state: "working",
      change: (events) => [
        ...events,
        { generation: 5, epoch: 2, kind: "status", body: { statusUpdate: status("WORKING") } },
      ],
    },
    ["P6"],
  ],
  ["a state that no event gave", { state: "canceled" }, ["I3"]],
  ["a task that is left open", { state: "working" }, ["I3"]],
  ["a snapshot with less in it", { snapshot: { ...finished, artifacts: [] } }, ["I3"]],
  ["an event that is not in the record", { show: (checker) => checker.shown(shown(5, at(4))) }, ["P2"]],
  ["an event that is another one in the record", { show: (checker) => checker.shown(shown(2, at(3))) }, ["P2"]],
  [
    "two readers who saw different events",
    {
      show: (checker) => {
        checker.shown(shown(2, at(2)));
        checker.shown(shown(2, at(3)));
      },
    },
    ["P3", "P2"],
  ],
  [
    "a Task that never was",
    { show: (checker) => checker.shownTask(shownTask({ ...finished, artifacts: [] }, null)) },
    ["I3"],
  ],
  ["a Task shown as another generation", { show: (checker) => checker.shownTask(shownTask(finished, 3)) }, ["I3"]],
  [
    "a Task from before what was shown",
    { show: (checker) => checker.shownTask(shownTask(submitted, null, 2)) },
    ["P1"],
  ],
];

describe("the checker", () => {
  let database: TestDatabase;
  let pool: pg.Pool;

  beforeAll(async () => {
    database = await createDatabase();
    pool = new pg.Pool({ connectionString: database.url, max: 4 });
    // Dropping the database ends idle connections.
    pool.on("error", () => undefined);
  });
  afterAll(async () => {
    await pool?.end();
    await database?.drop();
  });

  test.each(rows)("%s", async (_name, given, expected) => {
    await writeTask(pool, given);
    const checker = new Checker(pool, AGENT, "1.0");
    given.show?.(checker);
    await checker.verifyRecord();
    expect(checker.violations.map((violation) => violation.split(":")[0])).toEqual(expected);
  });
});

async function writeTask(pool: pg.Pool, given: Case): Promise<void> {
  const { state = "completed", generation = WELL.length, snapshot = null, change = (events) => events } = given;
  for (const table of ["task_event", "task"]) await pool.query(`delete from ${table}`);
  await pool.query(
    `insert into task (agent, tenant, id, context_id, caller, dialect, state, generation, snapshot, snapshot_generation,
       owner, epoch, attempt, agent_task_id, agent_context_id, finished_at)
     values ($1, '', 't', 'c', '', '1.0', $2, $3, $4, $5, 'i', 2, 1, 't', 'c',
       case when $2 in ('completed', 'canceled') then now() end)`,
    [AGENT, state, generation, snapshot && JSON.stringify(snapshot), snapshot && generation],
  );
  for (const { generation: number, epoch, kind, body } of change(WELL))
    await pool.query(
      `insert into task_event (agent, task_id, generation, epoch, attempt, kind, payload)
       values ($1, 't', $2, $3, 1, $4, $5)`,
      [AGENT, number, epoch, kind, JSON.stringify(body)],
    );
}
