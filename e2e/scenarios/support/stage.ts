/** Pods of one agent on a database of their own, a checker for what their clients are shown, and what tests ask of both. */
import pg from "pg";
import { expect, inject } from "vitest";
import { createDatabase } from "../../../sidecar/test/support/database.ts";
import { waitFor } from "../../../sidecar/test/support/wait.ts";
import { emptyRecord, untilAtRest } from "./at-rest.ts";
import { Checker } from "./checker.ts";
import type { Call } from "./checker-wire.ts";
import { callOf, sendParams } from "./checker-wire.ts";
import type { ClientSite } from "./persistent-client.ts";
import { PersistentClient } from "./persistent-client.ts";
import type { PodFleet, PodServices } from "./pods.ts";
import { startPods } from "./pods.ts";
import type { Subject } from "./subject.ts";

export interface StageStart {
  subject: Subject;
  /** Default 3. */
  pods?: number;
  /** Default 1 500: long enough for a busy machine, short enough to wait for. */
  leaseMs?: number;
  env?: Record<string, string>;
  /** Default: the run's shared server. */
  natsUrl?: string | null;
  /** A migrated database on a server of the test's own. Default: a fresh one on the run's shared server. */
  databaseUrl?: string;
  /** What one pod finds different from the others. */
  servicesOf?: (pod: number, shared: PodServices) => PodServices;
}

export interface Stage {
  readonly subject: Subject;
  readonly leaseMs: number;
  readonly fleet: PodFleet;
  readonly pool: pg.Pool;
  readonly checker: Checker;
  /** Where its clients call. */
  site(): ClientSite;
  client(name: string): PersistentClient;
  clientAt(site: ClientSite, name: string): PersistentClient;
  /** One message as a bare call to the first pod. */
  call(operation: "send" | "stream", text: string, said: { messageId: string }): Call;
  /** Resolves with the number of executor starts of a message once there are that many. */
  started(messageId: string, count?: number): Promise<void>;
  startsOf(messageId: string): Promise<number>;
  /** Which pod owns the task, by its number. */
  ownerOf(taskId: string): Promise<number>;
  /**
   * Everything comes to rest, every replica says the same, what clients were shown is the record, and nothing is left
   * working. Then the record is emptied and what was killed is started again.
   */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export async function openStage(start: StageStart): Promise<Stage> {
  const { subject, leaseMs = 1_500 } = start;
  const database = start.databaseUrl === undefined ? await createDatabase() : null;
  const databaseUrl = start.databaseUrl ?? database?.url ?? "";
  const natsUrl = start.natsUrl === undefined ? inject("natsUrl") : start.natsUrl;
  const fleet = await startPods({
    agent: subject.agent,
    flags: subject.flags,
    pods: start.pods ?? 3,
    env: { LEASE_MS: String(leaseMs), ...start.env },
    servicesOf: (pod) => {
      const shared = { databaseUrl, natsUrl };
      return start.servicesOf?.(pod, shared) ?? shared;
    },
  });
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  // A server that is restarted ends idle connections.
  pool.on("error", () => undefined);
  const openChecker = () =>
    new Checker(pool, fleet.agentKey, subject.dialect, { patient: start.databaseUrl !== undefined });
  let checker = openChecker();
  const startsOf = async (messageId: string) =>
    (await fleet.starts()).filter((one) => one.messageId === messageId).length;
  const site = (): ClientSite => ({
    urls: () => fleet.pods.map((pod) => pod.url),
    agent: subject.agent,
    dialect: subject.dialect,
    checker,
  });
  return {
    subject,
    leaseMs,
    fleet,
    pool,
    get checker() {
      return checker;
    },
    site,
    client: (name) => new PersistentClient(site(), name),
    clientAt: (where, name) => new PersistentClient(where, name),
    call: (operation, text, said) =>
      callOf(
        { base: fleet.pods[0]?.url ?? "", agent: subject.agent, dialect: subject.dialect },
        operation,
        sendParams(subject.dialect, { text, ...said }),
      ),
    started: async (messageId, count = 1) => {
      const what = () => `${count} executor starts of ${messageId}`;
      await waitFor(async () => (await startsOf(messageId)) >= count, { deadlineMs: 10_000, message: what });
    },
    startsOf,
    ownerOf: async (taskId) => {
      const { rows } = await pool.query<{ pod: string }>(
        "select pod_name as pod from task join instance on instance.id = task.owner where task.agent = $1 and task.id = $2",
        [fleet.agentKey, taskId],
      );
      return Number(rows[0]?.pod.replace("pod-", "") ?? -1);
    },
    settle: async () => {
      await untilAtRest(pool, fleet.agentKey);
      await compareReplicas(pool, { fleet, checker, subject });
      await checker.verifyRecord();
      const { violations } = checker;
      await emptyRecord(pool, fleet.agentKey);
      checker = openChecker();
      await Promise.all(
        fleet.pods.map((pod) => pod.start(pod.runs("agent") ? "sidecar" : pod.runs("sidecar") ? "agent" : "pod")),
      );
      expect(violations).toEqual([]);
    },
    close: async () => {
      await pool.end();
      await fleet.stop();
      await database?.drop();
    },
  };
}

/** P1: the same Task from every replica that runs. */
async function compareReplicas(
  pool: pg.Pool,
  on: { fleet: PodFleet; checker: Checker; subject: Subject },
): Promise<void> {
  const { fleet, checker, subject } = on;
  const { rows } = await pool.query<{ id: string }>("select id from task where agent = $1", [fleet.agentKey]);
  const running = fleet.pods.filter((pod) => pod.runs("sidecar"));
  for (const { id } of rows) {
    const texts = await Promise.all(
      running.map((pod) => {
        const site = { urls: () => [pod.url], agent: subject.agent, dialect: subject.dialect, checker };
        return new PersistentClient(site, pod.name).get(id);
      }),
    );
    if (new Set(texts).size !== 1) checker.violate("P1", `at rest the replicas say ${texts.join(" and ")}`);
    const task = texts[0] ?? "{}";
    checker.shownTask({ reader: "at rest", taskId: id, task, generation: null, notBefore: checker.headOf(id) });
  }
}
