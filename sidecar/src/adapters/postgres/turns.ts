import type { JournalOutcome, NewTurn, TaskStore, TurnRow } from "../../ports/task-store.ts";
import type { LooseWrite } from "./sql/append-columns.ts";
import { endUnboundTurn } from "./sql/end-turn.ts";
import { findWork } from "./sql/find-work.ts";
import { freeDedupeKey } from "./sql/free-dedupe-key.ts";
import { journalFollowUp } from "./sql/journal-follow-up.ts";
import { journalTurn } from "./sql/journal-turn.ts";
import { lastInstance } from "./sql/last-instance.ts";
import { findTurns, readTurnByKey, readTurns } from "./sql/read-turns.ts";
import { reassignTurn } from "./sql/reassign-turn.ts";
import { restoreTurn } from "./sql/restore-turn.ts";
import { takeTurn } from "./sql/take-turn.ts";
import { turnRowOf } from "./sql/turn-columns.ts";
import { appendLoosely } from "./append.ts";
import { reading, type Scope, untilSettled, writing } from "./scope.ts";

/** The part of the store that deals with turns. */
export type TurnStore = Pick<
  TaskStore,
  | "journal"
  | "restoreTurns"
  | "readTurn"
  | "readTurns"
  | "takeTurn"
  | "reassignTurn"
  | "endTurn"
  | "releaseQueue"
  | "findWork"
  | "lastInstance"
>;

/** Turns in Postgres. */
export function turnStore(scope: Scope): TurnStore {
  const { prisma, agent } = scope;
  return {
    journal: (turn) => writing(() => journal(scope, turn)),
    restoreTurns: (turns) => writing(() => restoreTurns(scope, turns)),
    readTurn: (turnId) =>
      reading(async () => {
        const [record] = await readTurns(prisma, agent, [turnId]);
        return record === undefined ? null : turnRowOf(record);
      }),
    readTurns: (turnIds) => reading(async () => (await readTurns(prisma, agent, turnIds)).map(turnRowOf)),
    takeTurn: (turnId, instance) =>
      writing(async () => {
        const [record] = await takeTurn(prisma, agent, { turnId, instance });
        return record === undefined ? null : turnRowOf(record);
      }),
    reassignTurn: (turnId, from, to) =>
      writing(async () => (await reassignTurn(prisma, agent, { turnId, from, to })) > 0),
    endTurn: (end) => writing(() => endTurn(scope, end)),
    releaseQueue: (turnId, epoch) => writing(() => releaseQueue(scope, turnId, epoch)),
    findWork: (instance) =>
      reading(async () => {
        const records = await findWork(prisma, agent, instance);
        return {
          turnIds: records.flatMap(({ turnId }) => (turnId === null ? [] : [turnId])),
          cancelTaskIds: records.flatMap(({ cancelTaskId }) => (cancelTaskId === null ? [] : [cancelTaskId])),
        };
      }),
    lastInstance: (caller, tenant, contextId) =>
      reading(async () => (await lastInstance(prisma, agent, { tenant, caller, contextId }))[0]?.id ?? null),
  };
}

async function journal(scope: Scope, turn: NewTurn): Promise<JournalOutcome> {
  const { taskId } = turn;
  return untilSettled(`journal turn ${turn.id}`, () =>
    taskId === null ? journalNewMessage(scope, turn) : journalForTask(scope, { ...turn, taskId }),
  );
}

async function journalNewMessage(scope: Scope, turn: NewTurn): Promise<JournalOutcome | "again"> {
  const [inserted] = await journalTurn(scope.prisma, scope.agent, turn);
  if (inserted === undefined) return findEarlier(scope, turn);
  const state = turn.instance === turn.self ? "dispatched" : "journaled";
  return { kind: "inserted", turn: newTurnRow(turn, { state, instanceAlive: inserted.alive }) };
}

async function journalForTask(scope: Scope, turn: NewTurn & { taskId: string }): Promise<JournalOutcome | "again"> {
  const [record] = await journalFollowUp(scope.prisma, scope.agent, turn);
  if (record === undefined) return { kind: "no-task" };
  switch (record.verdict) {
    case "again":
      return "again";
    case "terminal":
      return { kind: "terminal", state: record.taskState };
    case "joined":
    case "clash":
      return findEarlier(scope, turn);
    case "inserted": {
      const { contextId, owner, ownerAlive, epoch, turnState } = record;
      const row = { contextId, instance: owner, instanceAlive: ownerAlive, epoch, state: turnState };
      return { kind: "inserted", turn: newTurnRow(turn, row) };
    }
  }
}

/** The turn whose id or key stood in the way: our own insert of before, the same send, or one whose window is over. */
async function findEarlier({ prisma, agent }: Scope, turn: NewTurn): Promise<JournalOutcome | "again"> {
  const [own] = await readTurns(prisma, agent, [turn.id]);
  if (own !== undefined) return { kind: "inserted", turn: turnRowOf(own) };
  const { tenant, caller, dedupeKey } = turn;
  if (dedupeKey === null) return "again";
  const [same] = await readTurnByKey(prisma, agent, { tenant, caller, dedupeKey });
  if (same !== undefined) return { kind: "joined", turn: turnRowOf(same) };
  await freeDedupeKey(prisma, agent, { tenant, caller, dedupeKey });
  return "again";
}

function newTurnRow(turn: NewTurn, stored: Partial<TurnRow> & Pick<TurnRow, "state" | "instanceAlive">): TurnRow {
  const { self: _, dedupeKey: __, ...row } = turn;
  return {
    ...row,
    epoch: 1,
    attempt: 1,
    handovers: 0,
    reply: null,
    firstGeneration: null,
    lastGeneration: null,
    ...stored,
  };
}

async function restoreTurns({ prisma, agent }: Scope, turns: NewTurn[]): Promise<string[]> {
  const there = new Set(
    await findTurns(
      prisma,
      agent,
      turns.map(({ id }) => id),
    ),
  );
  const restored: string[] = [];
  // One by one, on one connection: the others have more to do after a crash.
  for (const turn of turns) {
    if (!there.has(turn.id) && (await restoreTurn(prisma, agent, turn, 1)) > 0) restored.push(turn.id);
  }
  return restored;
}

type EndOutcome = Awaited<ReturnType<TaskStore["endTurn"]>>;

async function endTurn(scope: Scope, end: Parameters<TaskStore["endTurn"]>[0]): Promise<EndOutcome> {
  const { prisma, agent, idempotencyWindowSeconds } = scope;
  const attempt = () => endUnboundTurn(prisma, agent, { ...end, windowSeconds: idempotencyWindowSeconds });
  let record = await attempt();
  if (!record.exists && end.turn && (await restoreTurn(prisma, agent, end.turn, end.epoch)) > 0) {
    record = await attempt();
  }
  // It may have waited for the same end, whose reply was lost, and judged by a picture of before.
  if (!record.ended && record.taskId === null && record.exists) record = await attempt();
  if (record.ended) return { kind: "ended", promoted: null };
  if (record.taskId === null) return { kind: "deposed" };
  const outcome = await settleTurn(scope, record.taskId, { epoch: end.epoch, end });
  return outcome.kind === "fenced" ? { kind: "deposed" } : { kind: "ended", promoted: outcome.promoted };
}

async function releaseQueue(scope: Scope, turnId: string, epoch: number): Promise<{ promoted: string | null }> {
  const [turn] = await readTurns(scope.prisma, scope.agent, [turnId]);
  if (turn?.taskId === null || turn?.taskId === undefined) return { promoted: null };
  const outcome = await settleTurn(scope, turn.taskId, { epoch, end: null, releases: turnId });
  return { promoted: outcome.kind === "fenced" ? null : outcome.promoted };
}

/** A write without events that only ends or releases a turn, at whatever generation the task is. */
async function settleTurn(
  scope: Scope,
  taskId: string,
  write: Pick<LooseWrite, "epoch" | "end" | "releases">,
): ReturnType<typeof appendLoosely> extends Promise<(infer O)[]> ? Promise<O> : never {
  const bare = { attempt: 0, expected: null, events: [], head: null, snapshot: null, firstOf: null };
  const [outcome] = await appendLoosely(scope, [{ ...bare, ...write, taskId, cancelAnswered: false }]);
  return outcome ?? { kind: "fenced" };
}
