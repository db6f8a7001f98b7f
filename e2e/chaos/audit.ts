/** What must hold once everything is at rest: executor starts and turns against the promises, and all pods of one mind. */
import type { Checker } from "../scenarios/support/checker.ts";
import { PersistentClient } from "../scenarios/support/persistent-client.ts";
import type { SentMessage } from "./clients.ts";
import { MAX_ATTEMPTS, type World } from "./world.ts";

interface TurnRecord {
  messageId: string;
  taskId: string | null;
  state: string;
  attempt: number;
  handovers: number;
  /** It ended with an answer that is an error: nothing of it is in the record. */
  refused: boolean;
}

export interface AuditCounts {
  turns: number;
  starts: number;
  /** Turns that were tried more than once. */
  retried: number;
}

export async function audit(world: World, checker: Checker, sent: readonly SentMessage[]): Promise<AuditCounts> {
  const turns = Map.groupBy(await readTurns(world), (turn) => turn.messageId);
  const starts = Map.groupBy(await world.fleet.starts(), (start) => start.messageId);
  const counts: AuditCounts = { turns: 0, starts: 0, retried: 0 };
  for (const message of sent) {
    const own = turns.get(message.messageId) ?? [];
    const started = starts.get(message.messageId)?.length ?? 0;
    counts.turns += own.length;
    counts.starts += started;
    counts.retried += own.filter((turn) => turn.attempt > 1).length;
    auditMessage(checker, { ...message, turns: own, started });
  }
  await comparePods(world, checker);
  return counts;
}

function auditMessage(checker: Checker, message: SentMessage & { turns: TurnRecord[]; started: number }): void {
  const { turns, started } = message;
  const name = `${message.conversation}, message ${message.messageId}`;
  if (turns.length === 0) {
    checker.violate("P4", `${name} has left no trace`);
    return;
  }
  const accepted = turns.filter((turn) => !turn.refused);
  if (accepted.length > 1) checker.violate("P7", `${name} became ${accepted.length} turns: ${JSON.stringify(turns)}`);
  const attempts = turns.reduce((sum, turn) => sum + turn.attempt, 0);
  if (started > attempts) checker.violate("I5", `${name} was started ${started} times in ${attempts} attempts`);
  for (const turn of accepted) {
    const tries = turn.attempt - turn.handovers;
    if (tries > MAX_ATTEMPTS) checker.violate("P4", `${name} was tried ${tries} times: ${JSON.stringify(turn)}`);
    // A bare Message leaves no line before it is answered, so its start is not counted here.
    const once = turn.attempt === 1 && turn.state === "done" && turn.taskId !== null && turns.length === 1;
    if (once && started !== 1) checker.violate("I5", `${name} was tried once and started ${started} times`);
  }
}

async function readTurns({ pool, fleet }: World): Promise<TurnRecord[]> {
  const { rows } = await pool.query<Omit<TurnRecord, "messageId"> & { body: string }>(
    `select body, task_id as "taskId", state, attempt, handovers, state = 'failed' and first_generation is null as refused
     from turn where agent = $1 and purpose = 'send'`,
    [fleet.agentKey],
  );
  return rows.map(({ body, ...turn }) => ({ ...turn, messageId: messageIdIn(body) }));
}

function messageIdIn(body: string): string {
  const parsed = JSON.parse(body) as { params?: { message?: { messageId?: string } } };
  return parsed.params?.message?.messageId ?? "";
}

/** P1: the same Task from every pod. */
async function comparePods({ pool, fleet, subject }: World, checker: Checker): Promise<void> {
  const { rows } = await pool.query<{ id: string }>("select id from task where agent = $1", [fleet.agentKey]);
  await Promise.all(
    rows.map(async ({ id }) => {
      const texts = await Promise.all(
        fleet.pods.map((pod) => {
          const site = { urls: () => [pod.url], agent: subject.agent, dialect: subject.dialect, checker };
          return new PersistentClient(site, pod.name).get(id);
        }),
      );
      if (new Set(texts).size !== 1) checker.violate("P1", `at rest the pods say ${texts.join(" and ")}`);
      const task = texts[0] ?? "{}";
      checker.shownTask({ reader: "at rest", taskId: id, task, generation: null, notBefore: checker.headOf(id) });
    }),
  );
}
