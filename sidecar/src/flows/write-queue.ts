/** Task writes that wait for a statement: in order within a task, tasks in order of their first waiting write. */
import type { AppendOutcome, TaskWrite } from "../ports/task-store.ts";

/** One accepted write and the promise behind it. */
export interface Pending {
  write: TaskWrite;
  /** Characters of payload. */
  bytes: number;
  resolve: (outcome: AppendOutcome) => void;
  reject: (error: unknown) => void;
}

/** Neighbouring writes of one task that travel as one. */
export interface Group {
  taskId: string;
  members: [Pending, ...Pending[]];
  /** The members as one write. */
  write: TaskWrite;
  /** A reply about it was lost. */
  doubtful: boolean;
}

interface TaskQueue {
  waiting: Pending[];
  /** A statement has taken earlier writes of this task and is not finished with them. */
  busy: boolean;
}

/** See the head of this file. */
export class WriteQueue {
  /** Insertion order = order in which the tasks are served. */
  readonly #tasks = new Map<string, TaskQueue>();

  push(pending: Pending): void {
    const { taskId } = pending.write;
    const task = this.#tasks.get(taskId);
    if (task === undefined) this.#tasks.set(taskId, { waiting: [pending], busy: false });
    else task.waiting.push(pending);
  }

  /** Takes what fits into one statement, at least one write if there is any; its tasks are busy until released. */
  take(maxRows: number, maxBytes: number): Group[] {
    const groups: Group[] = [];
    let [rows, bytes] = [0, 0];
    for (const task of this.#tasks.values()) {
      const next = task.waiting[0];
      if (task.busy || next === undefined) continue;
      const fits = rows + next.write.events.length <= maxRows && bytes + next.bytes <= maxBytes;
      if (groups.length > 0 && !fits) break;
      const group = takeGroup(task.waiting, { rows: maxRows - rows, bytes: maxBytes - bytes });
      task.busy = true;
      rows += Math.max(1, group.write.events.length);
      for (const member of group.members) bytes += member.bytes;
      groups.push(group);
    }
    return groups;
  }

  /** The statement is finished with this task: what waits may go, behind the tasks that wait already. */
  release(taskId: string): void {
    const task = this.#tasks.get(taskId);
    if (task === undefined) return;
    this.#tasks.delete(taskId);
    if (task.waiting.length > 0) this.#tasks.set(taskId, { waiting: task.waiting, busy: false });
  }

  /** Puts writes in front of what waits for their task. */
  putBack(taskId: string, writes: Pending[]): void {
    this.#tasks.get(taskId)?.waiting.unshift(...writes);
  }

  /** Takes away everything that waits for a task. */
  drop(taskId: string): Pending[] {
    return this.#tasks.get(taskId)?.waiting.splice(0) ?? [];
  }

  /** Takes away everything that waits. */
  clear(): Pending[] {
    return [...this.#tasks.values()].flatMap((task) => task.waiting.splice(0));
  }
}

/** Takes the longest run of writes from the front that can travel as one within the room left; at least one. */
function takeGroup(waiting: Pending[], room: { rows: number; bytes: number }): Group {
  let count = 1;
  let rows = waiting[0]?.write.events.length ?? 0;
  let bytes = waiting[0]?.bytes ?? 0;
  for (; count < waiting.length; count += 1) {
    const [before, next] = [waiting[count - 1] as Pending, waiting[count] as Pending];
    rows += next.write.events.length;
    bytes += next.bytes;
    if (rows > room.rows || bytes > room.bytes || !followsOn(before.write, next.write)) break;
  }
  return groupOf(waiting.splice(0, count) as [Pending, ...Pending[]]);
}

/** The members as one write. They follow on from each other. */
export function groupOf(members: [Pending, ...Pending[]]): Group {
  const first = members[0].write;
  const last = (members.at(-1) as Pending).write;
  const write: TaskWrite =
    members.length === 1
      ? first
      : {
          ...last,
          expected: first.expected,
          firstOf: first.firstOf,
          events: members.flatMap((member) => member.write.events),
          cancelAnswered: members.some((member) => member.write.cancelAnswered),
          ...lastAgentIds(members),
        };
  return { taskId: first.taskId, members, write, doubtful: false };
}

/** Only the first write of an attempt says its ids at the agent: they must not get lost among the others. */
function lastAgentIds(members: readonly Pending[]): Pick<TaskWrite, "agentIds"> {
  const agentIds = members.findLast((member) => member.write.agentIds !== undefined)?.write.agentIds;
  return agentIds === undefined ? {} : { agentIds };
}

/**
 * Whether two neighbours can be one write: same lease and attempt, no gap, and nothing in the first that is only true at
 * its end (a snapshot, the end of a turn) or in the second that is only true at its start (a turn's first event).
 */
function followsOn(before: TaskWrite, next: TaskWrite): boolean {
  return (
    before.epoch === next.epoch &&
    before.attempt === next.attempt &&
    next.expected === before.expected + before.events.length &&
    before.end === null &&
    before.snapshot === null &&
    next.firstOf === null
  );
}
