/** What must hold once everything is at rest: every message by the record and the executors' log, and all pods of one mind. */
import type { Checker } from "../scenarios/support/checker.ts";
import { isTerminalState, plainState } from "../scenarios/support/checker-wire.ts";
import { PersistentClient } from "../scenarios/support/persistent-client.ts";
import { judge, type SentMessage, type TurnRecord } from "./judgement.ts";
import { type ChaosPlan, harmedPods } from "./plan.ts";
import { replay } from "./replay.ts";
import { MAX_ATTEMPTS, type World } from "./world.ts";

export interface AuditCounts {
  turns: number;
  starts: number;
  /** Turns that were tried more than once. */
  retried: number;
}

interface RecordedTask {
  id: string;
  state: string;
  /** Of every event, from the first on. */
  attempts: number[];
  payloads: string[];
}

export async function audit(
  world: World,
  { checker, plan, sent }: { checker: Checker; plan: ChaosPlan; sent: readonly SentMessage[] },
): Promise<AuditCounts> {
  const [turns, log, tasks] = await Promise.all([readTurns(world), world.fleet.starts(), readTasks(world)]);
  const known = new Set(sent.map(({ messageId }) => messageId));
  // The log goes back to the first run of this world.
  const starts = log.filter(({ messageId }) => known.has(messageId));
  const violations = judge({
    sent,
    turns,
    starts,
    exhausted: new Set(tasks.filter(isExhausted).map(({ id }) => id)),
    tasks: new Map(tasks.map(({ id, attempts }) => [id, attempts])),
    harmed: harmedPods(plan),
    maxAttempts: MAX_ATTEMPTS,
  });
  for (const { promise, what } of violations) checker.violate(promise, what);
  await Promise.all(tasks.map((task) => comparePods(world, checker, task)));
  return { turns: turns.length, starts: starts.length, retried: turns.filter(({ attempt }) => attempt > 1).length };
}

function isExhausted({ payloads }: RecordedTask): boolean {
  return payloads.at(-1)?.includes("as often as allowed") ?? false;
}

async function readTurns({ pool, fleet }: World): Promise<TurnRecord[]> {
  const { rows } = await pool.query<Omit<TurnRecord, "messageId"> & { body: string }>(
    `select body, task_id as "taskId", state, attempt, handovers, first_generation as "firstGeneration",
            last_generation as "lastGeneration", state = 'failed' and first_generation is null as refused
     from turn where agent = $1 and purpose = 'send'`,
    [fleet.agentKey],
  );
  return rows.map(({ body, ...turn }) => ({ ...turn, messageId: messageIdIn(body) }));
}

function messageIdIn(body: string): string {
  const parsed = JSON.parse(body) as { params?: { message?: { messageId?: string } } };
  return parsed.params?.message?.messageId ?? "";
}

async function readTasks({ pool, fleet }: World): Promise<RecordedTask[]> {
  const { rows } = await pool.query<RecordedTask>(
    `select t.id, t.state, array_agg(e.attempt order by e.generation) as attempts,
            array_agg(e.payload order by e.generation) as payloads
     from task t join task_event e on e.agent = t.agent and e.task_id = t.id
     where t.agent = $1 group by t.id, t.state`,
    [fleet.agentKey],
  );
  return rows;
}

/** P1, P3: the same Task from every pod, and its whole tail to a reader that comes back, also after its end. */
async function comparePods(world: World, checker: Checker, { id, state, payloads }: RecordedTask): Promise<void> {
  const { fleet, subject } = world;
  const sites = fleet.pods.map((pod) => ({
    urls: () => [pod.url],
    agent: subject.agent,
    dialect: subject.dialect,
    checker,
  }));
  const texts = await Promise.all(sites.map((site) => new PersistentClient(site, "at rest").get(id)));
  if (new Set(texts).size !== 1) checker.violate("P1", `at rest the pods say ${texts.join(" and ")}`);
  const task = texts[0] ?? "{}";
  checker.shownTask({ reader: "at rest", taskId: id, task, generation: null, notBefore: checker.headOf(id) });
  if (!isTerminalState(plainState(state))) return;
  await Promise.all(
    fleet.pods.map(async (pod) => {
      const differs = await replay({ subject, url: pod.url, taskId: id, payloads });
      if (differs !== null) checker.violate("P3", `at rest, task ${id} from ${pod.name}: ${differs}`);
    }),
  );
}
