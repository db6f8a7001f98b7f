// What the record says about messages whose calls have failed: where each was run, and when.

import pg from "pg";
import { storeAddress } from "./store-address.ts";

interface StoredTurn {
  readonly message_id: string;
  readonly state: string;
  readonly attempt: number;
  readonly handovers: number;
  readonly pod: string;
  readonly waited_ms: number;
}

/** One line per turn, or a line that says why there is none. */
export async function describeTurns(messageIds: readonly string[]): Promise<readonly string[]> {
  if (messageIds.length === 0) return [];
  const client = new pg.Client({ connectionString: await storeAddress() });
  try {
    await client.connect();
    const { rows } = await client.query<StoredTurn>(
      `select m.id as message_id, u.state, u.attempt, u.handovers, coalesce(i.pod_name, u.instance) as pod,
         (1000 * extract(epoch from coalesce(u.ended_at, now()) - u.created_at))::integer as waited_ms
       from unnest($1::text[]) m (id)
       join turn u on position(m.id in u.body) > 0
       left join instance i on i.agent = u.agent and i.id = u.instance`,
      [messageIds],
    );
    const found = new Set(rows.map((row) => row.message_id));
    const missing = messageIds.filter((id) => !found.has(id)).map((id) => `message ${id} is not in the record`);
    return [...rows.map(lineOf), ...missing];
  } catch (error) {
    return [`the record could not be asked: ${String(error)}`];
  } finally {
    await client.end();
  }
}

function lineOf({ message_id, state, attempt, handovers, pod, waited_ms }: StoredTurn): string {
  const seconds = (waited_ms / 1000).toFixed(1);
  return `message ${message_id}: ${state} after ${seconds} s at ${pod}, attempt ${attempt}, handed over ${handovers} times`;
}
