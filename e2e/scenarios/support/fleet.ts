/** N replicas of one agent, each with its sidecar, on a database of their own: started once per test file. */
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import { createDatabase } from "../../../sidecar/test/support/database.ts";
import type { StartRecord } from "../../agents/agent-process.ts";
import type { AgentKind, Replica } from "../../support/replica.ts";
import { startReplica } from "../../support/replica.ts";

export interface FleetStart {
  agent: AgentKind;
  /** Switches of the agent, e.g. `--compat`. */
  flags?: string[];
  /** Default 2. */
  replicas?: number;
  /** More of the sidecars' environment contract. */
  env?: Record<string, string>;
  /** Default: the run's shared server. Null = none at all. */
  natsUrl?: string | null;
  /** A migrated database. Default: a fresh one on the run's shared Postgres, dropped at the end. */
  databaseUrl?: string;
}

export interface Fleet {
  readonly replicas: readonly Replica[];
  readonly databaseUrl: string;
  readonly agentKey: string;
  /** The replica's sidecar, counted from 0. */
  url(replica: number): string;
  /** The replica's agent itself, past its sidecar. */
  agentUrl(replica: number): string;
  /** What the executors of all replicas were started with, by the replica's number, in the order of their starts. */
  starts(): Promise<Logged<StartRecord>[]>;
  /** The cancels that reached an executor. */
  cancels(): Promise<Logged<{ taskId: string }>[]>;
  stop(): Promise<void>;
}

/** A line of an agent's log. */
export type Logged<T> = T & { replica: number; at: number };

/** Starts everything; stops what was started where a part of it does not come up. */
export async function startFleet(start: FleetStart): Promise<Fleet> {
  const database = start.databaseUrl === undefined ? await createDatabase() : null;
  const directory = await mkdtemp(join(tmpdir(), "durable-agent-fleet-"));
  const databaseUrl = start.databaseUrl ?? database?.url ?? "";
  const backing = {
    databaseUrl,
    natsUrl: start.natsUrl === undefined ? inject("natsUrl") : start.natsUrl,
    agentKey: `e2e/scenarios/${start.agent}-${randomUUID().slice(0, 8)}`,
    secretKey: randomBytes(32).toString("base64"),
    ...(start.env && { env: start.env }),
  };
  const names = Array.from({ length: start.replicas ?? 2 }, (_, index) => `replica-${index}`);
  const log = (kind: string, name: string) => join(directory, `${kind}-${name}.jsonl`);
  const settled = await Promise.allSettled(
    names.map((name) =>
      startReplica(
        name,
        {
          kind: start.agent,
          flags: start.flags ?? [],
          startLog: log("starts", name),
          cancelLog: log("cancels", name),
        },
        backing,
      ),
    ),
  );
  const replicas = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const stop = async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await database?.drop();
    await rm(directory, { recursive: true, force: true });
  };
  const failed = settled.find((one) => one.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const at = (replica: number): Replica => {
    const found = replicas[replica];
    if (found === undefined) throw new Error(`there is no replica ${replica}`);
    return found;
  };
  const records = async <T>(kind: string): Promise<Logged<T>[]> => {
    const lists = await Promise.all(names.map((name, replica) => readRecords<T>(log(kind, name), replica)));
    return lists.flat().toSorted((one, other) => one.at - other.at);
  };
  return {
    replicas,
    databaseUrl,
    agentKey: backing.agentKey,
    url: (replica) => at(replica).url,
    agentUrl: (replica) => at(replica).agent.url,
    starts: () => records("starts"),
    cancels: () => records("cancels"),
    stop,
  };
}

async function readRecords<T>(file: string, replica: number): Promise<Logged<T>[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => ({ ...(JSON.parse(line) as T & { at: number }), replica }));
}
