import { type AppendOutcome, StoreError } from "../../ports/task-store.ts";
import { appendColumnsOf, eventColumnsOf, type LooseWrite } from "./sql/append-columns.ts";
import { type AppendRecord, appendEvents } from "./sql/append-events.ts";
import { MOST_ROUNDS, type Scope } from "./scope.ts";
import { storeErrorOf } from "./sqlstate.ts";

/**
 * Stores several writes, one per task, in one statement. A write that met a change of its task's turns while it waited
 * for the lock goes again by itself; when that fails, nobody can tell from the error which writes are in the record.
 */
export async function appendLoosely(scope: Scope, writes: readonly LooseWrite[]): Promise<AppendOutcome[]> {
  const outcomes = writes.map((): AppendOutcome => ({ kind: "fenced" }));
  let numbers = writes.map((_, number) => number);
  const settings = { agent: scope.agent, windowSeconds: scope.idempotencyWindowSeconds };
  for (let round = 1; numbers.length > 0; round += 1) {
    const columns = appendColumnsOf(writes, numbers);
    const records = await appendEvents(scope.prisma, settings, columns, eventColumnsOf(writes, numbers)).catch(
      (error: unknown) => {
        if (round === 1) throw error;
        throw new StoreError("unknown-outcome", "a part of the writes is stored", { cause: storeErrorOf(error, true) });
      },
    );
    for (const record of records) if (!record.again) outcomes[record.number] = merged(outcomes[record.number], record);
    numbers = records.flatMap(({ number, again }) => (again ? [number] : []));
    if (round === MOST_ROUNDS && numbers.length > 0) {
      throw new StoreError("unknown-outcome", "the turns of a task changed at every try");
    }
  }
  return outcomes;
}

/** The rows about one write, put together. */
function merged(before: AppendOutcome | undefined, { promoted, failed, closed }: AppendRecord): AppendOutcome {
  const known = before?.kind === "committed" ? before : { promoted: null, failed: [], closed: [] };
  return {
    kind: "committed",
    promoted: promoted ?? known.promoted,
    failed: failed === null ? known.failed : [...known.failed, failed],
    closed: closed === null ? known.closed : [...known.closed, closed],
  };
}
