/** What the record and the executors' log must say about the messages of a run once all is at rest. Pure. */

/** A message as its client sent it, and what a stream showed of its turn. */
export interface SentMessage {
  messageId: string;
  conversation: string;
  /** First and last generation of the turn as its sender's stream showed it to the end; null where nothing was streamed. */
  streamed: { first: number; last: number } | null;
}

export interface TurnRecord {
  messageId: string;
  taskId: string | null;
  state: string;
  attempt: number;
  handovers: number;
  firstGeneration: number | null;
  lastGeneration: number | null;
  /** It ended with an answer that is an error: nothing of it is in the record. */
  refused: boolean;
}

/** One execution that an agent began. */
export interface Start {
  messageId: string;
  /** Number of the pod. */
  replica: number;
}

export interface Evidence {
  sent: readonly SentMessage[];
  turns: readonly TurnRecord[];
  starts: readonly Start[];
  /** Tasks that ended as failed because no attempt was left. */
  exhausted: ReadonlySet<string>;
  /** Every task of the record, with the attempts its events were recorded in, in order. */
  tasks: ReadonlyMap<string, readonly number[]>;
  /** Pods to which something was done that may cost a run. */
  harmed: ReadonlySet<number>;
  /** Attempts per message, hand-overs not counted. */
  maxAttempts: number;
}

export interface Violation {
  promise: string;
  what: string;
}

export function judge(evidence: Evidence): Violation[] {
  const { sent, turns, starts, tasks } = evidence;
  const turnsOf = Map.groupBy(turns, (turn) => turn.messageId);
  const startsOf = Map.groupBy(starts, (start) => start.messageId);
  const known = new Set(sent.map(({ messageId }) => messageId));
  const named = new Set(turns.map(({ taskId }) => taskId));
  return [
    ...sent.flatMap((message) => {
      const { conversation, messageId } = message;
      const own = { turns: turnsOf.get(messageId) ?? [], starts: startsOf.get(messageId) ?? [] };
      const found = [...judgeTurns(message, own.turns, evidence), ...judgeStarts(own, evidence)];
      return found.map(({ promise, what }) => ({ promise, what: `${conversation}, message ${messageId}, ${what}` }));
    }),
    ...turns
      .filter(({ messageId }) => !known.has(messageId))
      .map((turn) => ({ promise: "P4", what: `a turn of a message that nobody sent: ${JSON.stringify(turn)}` })),
    ...[...tasks.keys()]
      .filter((taskId) => !named.has(taskId))
      .map((taskId) => ({ promise: "P7", what: `task ${taskId} is the task of no message` })),
  ];
}

function* judgeTurns(message: SentMessage, turns: readonly TurnRecord[], evidence: Evidence): Generator<Violation> {
  const accepted = turns.filter((turn) => !turn.refused);
  if (turns.length === 0) yield { promise: "P4", what: "has left no trace" };
  else if (accepted.length === 0) yield { promise: "P4", what: `was only ever refused: ${JSON.stringify(turns)}` };
  if (accepted.length > 1)
    yield { promise: "P7", what: `became ${accepted.length} turns: ${JSON.stringify(accepted)}` };
  for (const turn of accepted) {
    const tries = turn.attempt - turn.handovers;
    if (tries > evidence.maxAttempts)
      yield { promise: "P4", what: `was tried ${tries} times: ${JSON.stringify(turn)}` };
    if (turn.taskId === null) continue;
    if (evidence.exhausted.has(turn.taskId) && turn.state === "failed" && tries < evidence.maxAttempts)
      yield { promise: "P8", what: `was given up after ${tries} tries: ${JSON.stringify(turn)}` };
    yield* judgeEvents(turn, evidence.tasks.get(turn.taskId));
    yield* judgeStream(turn, message.streamed);
  }
}

function* judgeEvents(turn: TurnRecord, attempts: readonly number[] | undefined): Generator<Violation> {
  if (attempts === undefined) yield { promise: "P4", what: `its task is not in the record: ${JSON.stringify(turn)}` };
  else if (turn.firstGeneration !== null) {
    const own = attempts.slice(turn.firstGeneration - 1, turn.lastGeneration ?? attempts.length);
    if (own.some((attempt, n) => attempt < (own[n - 1] ?? 1)))
      yield { promise: "I5", what: `has events of the attempts ${own.join(" ")}: ${JSON.stringify(turn)}` };
  }
}

function* judgeStream(turn: TurnRecord, streamed: SentMessage["streamed"]): Generator<Violation> {
  if (streamed === null) return;
  const whole = streamed.first === turn.firstGeneration && streamed.last === turn.lastGeneration;
  if (!whole)
    yield { promise: "P3", what: `was streamed from ${streamed.first} to ${streamed.last}: ${JSON.stringify(turn)}` };
}

function* judgeStarts(
  { turns, starts }: { turns: readonly TurnRecord[]; starts: readonly Start[] },
  { harmed }: Evidence,
): Generator<Violation> {
  const attempts = turns.reduce((sum, turn) => sum + turn.attempt, 0);
  if (starts.length > attempts)
    yield { promise: "I5", what: `was started ${starts.length} times in ${attempts} attempts` };
  if (starts.length === 0 && turns.some((turn) => turn.state === "done"))
    yield { promise: "P4", what: `was never started and is done: ${JSON.stringify(turns)}` };
  // The last attempt is the one that lasts; whoever began an earlier one must have lost it.
  const unharmed = starts.filter(({ replica }) => !harmed.has(replica));
  if (unharmed.length > 1 || (harmed.size === 0 && turns.some((turn) => turn.attempt > 1)))
    yield {
      promise: "I5",
      what: `was started on the pods ${starts.map(({ replica }) => replica).join(" ")}, harmed were ${[...harmed].join(" ") || "none"}: ${JSON.stringify(turns)}`,
    };
}
