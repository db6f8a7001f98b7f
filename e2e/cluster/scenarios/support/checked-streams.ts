// Streams of the fault suite's own client, each with a second reader, held against the record by the fault suite's checker.

import pg from "pg";
import { Checker } from "../../../scenarios/support/checker.ts";
import {
  type ClientSite,
  foldedText,
  PersistentClient,
  taskIdOf,
} from "../../../scenarios/support/persistent-client.ts";
import { waitUntil } from "../../node/wait.ts";
import { type AgentUnderTest, rpcPath } from "./agent-under-test.ts";
import { kubectl } from "./cluster-access.ts";
import { countedTo } from "./load.ts";
import { storeAddress } from "./store-address.ts";

/** What was seen. */
export interface CheckedReport {
  /** Empty when everything that clients were shown is in the record, and the record of the agent is in order. */
  readonly violations: readonly string[];
  /** Streams that were read to their end by both readers. */
  readonly streams: number;
  /** Tasks of the agent, whoever started them. */
  readonly tasks: number;
}

/** Running streams. */
export interface CheckedStreams {
  /** Starts nothing more, reads what runs to its end, waits until the agent is at rest, and looks at the whole record. */
  stop(): Promise<CheckedReport>;
}

const clients = 4;
const streamLength = 60;
const patienceMs = 90_000;

/** The scope of the agent's rows, as the webhook tells it to the sidecars. */
async function agentKeyOf({ namespace, name }: AgentUnderTest): Promise<string> {
  const uid = await kubectl(["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
  return `${uid.slice(0, 8)}/${namespace}/${name}`;
}

/** One message, streamed to its end, and subscribed to when its third event is there. */
async function readTwice(site: ClientSite, name: string): Promise<void> {
  const { checker } = site;
  const second: Promise<void>[] = [];
  const follow = async (taskId: string): Promise<void> => {
    const { state, refused, breaks } = await new PersistentClient(site, `${name}, second reader`).follow(taskId);
    const after = `${refused === null ? "" : `, refused with ${refused.message}`}, after [${breaks.join("; ")}]`;
    if (state !== "completed") checker.violate("P4", `${name}, second reader: ${taskId} ended as ${state}${after}`);
  };
  const { events, state, taskId } = await new PersistentClient(site, name).stream(`count ${streamLength} every 100ms`, {
    onEvent: (event) => {
      if (event.generation === 3) second.push(follow(taskIdOf(event)));
    },
  });
  await Promise.all(second);
  const text = foldedText(events);
  if (state !== "completed") checker.violate("P4", `${name}: ${taskId} ended as ${state}`);
  else if (text !== countedTo(streamLength)) checker.violate("P3", `${name}: ${taskId} counted "${text}"`);
}

/** Starts the streams at the agent's Service. */
export async function startCheckedStreams(agent: AgentUnderTest): Promise<CheckedStreams> {
  const agentKey = await agentKeyOf(agent);
  const pool = new pg.Pool({ connectionString: await storeAddress(), max: clients });
  const checker = new Checker(pool, agentKey, "1.0");
  const base = agent.endpoint.slice(0, -rpcPath.length);
  const site: ClientSite = { urls: () => [base], agent: "js-1", dialect: "1.0", checker, patienceMs };
  const stopping = new AbortController();
  let streams = 0;
  const loops = Array.from({ length: clients }, async (_, index) => {
    while (!stopping.signal.aborted) {
      await readTwice(site, `client ${index + 1}`);
      streams += 1;
    }
  });
  const atRest = async (): Promise<boolean> => {
    const { rows } = await pool.query<{ count: string }>(
      "select count(*) from turn where agent = $1 and state not in ('done', 'failed')",
      [agentKey],
    );
    return rows[0]?.count === "0";
  };
  return {
    stop: async () => {
      stopping.abort();
      try {
        await Promise.all(loops);
        await waitUntil("no turn to be in flight", atRest, { deadlineMs: 60_000 });
        const { tasks } = await checker.verifyRecord();
        return { violations: checker.violations, streams, tasks };
      } finally {
        await pool.end();
      }
    },
  };
}
