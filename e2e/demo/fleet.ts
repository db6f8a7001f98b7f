/** Three replicas of one agent behind a balancer, with or without sidecars, and the logs of what their executors did. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Balancer } from "../support/balancer.ts";
import { startBalancer } from "../support/balancer.ts";
import type { Backing, Replica } from "../support/replica.ts";
import { startReplica } from "../support/replica.ts";
import type { Flavour } from "./flavour.ts";

export interface Fleet {
  readonly balancer: Balancer;
  /** As they are at this moment. */
  readonly replicas: readonly [Replica, Replica, Replica];
  /** The task ids for which a cancel reached the executor of this replica. */
  canceledIn(replica: Replica): Promise<string[]>;
  /** The texts of the messages the executor of this replica was started with. */
  startedIn(replica: Replica): Promise<string[]>;
  /** SIGKILL to agent and sidecar at once. The balancer goes on sending to it until it has been told. */
  kill(replica: Replica): Promise<void>;
  /** One more replica in the place of this one: it serves as soon as it is ready, what it replaces until it is stopped. */
  replace(replica: Replica): Promise<Replica>;
  stop(): Promise<void>;
}

export interface FleetStart {
  flavour: Flavour;
  /** Null = the agents stand alone. */
  backing: Backing | null;
  /** An existing folder for the logs. */
  directory: string;
}

/** Starts everything; stops what was started where a part of it does not come up. */
export async function startFleet({ flavour, backing, directory }: FleetStart): Promise<Fleet> {
  const balancer = await startBalancer();
  const logOf = (kind: string, name: string) =>
    join(directory, `${kind}-${flavour.agent}-${backing === null ? "alone" : "sidecar"}-${name}.jsonl`);
  const start = (name: string) =>
    startReplica(
      name,
      {
        kind: flavour.agent,
        startLog: logOf("start", name),
        cancelLog: logOf("cancel", name),
        // A plain agent has to be told its public address. With a sidecar the card follows the request.
        ...(backing === null && { publicUrl: balancer.url }),
      },
      backing,
    );
  try {
    const replicas = await Promise.all([start("replica-1"), start("replica-2"), start("replica-3")]);
    balancer.setBackends(replicas);
    let started = replicas.length;
    return {
      balancer,
      replicas,
      canceledIn: async (replica) => (await readRecords(logOf("cancel", replica.name))).map((one) => one.taskId),
      startedIn: async (replica) => (await readRecords(logOf("start", replica.name))).map((one) => one.text),
      kill: async (replica) => {
        const processes = [replica.sidecar?.process, replica.agent.process].filter((one) => one !== undefined);
        for (const one of processes) one.kill("SIGKILL");
        await Promise.all(processes.map((one) => one.exited));
      },
      replace: async (replica) => {
        const fresh = await start(`replica-${++started}`);
        const index = replicas.indexOf(replica);
        replicas[index] = fresh;
        return fresh;
      },
      stop: async () => {
        await balancer.close();
        await Promise.all(replicas.map((replica) => replica.stop()));
      },
    };
  } catch (error) {
    await balancer.close();
    throw error;
  }
}

async function readRecords(file: string): Promise<{ taskId: string; text: string }[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
