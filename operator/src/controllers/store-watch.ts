/** Asks every database and NATS server in use, regularly, and keeps what they said for the reconcile rounds. */
import { isDeepStrictEqual } from "node:util";
import { SECRET_KEYS } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { secrets } from "../kubernetes/resource-types.ts";
import type { Cluster } from "../ports/cluster.ts";
import type { RelayProbe, StoreProbe, StoreReport, TaskCounts } from "../ports/probes.ts";
import type { Finding } from "../reconcile/conditions.ts";
import type { OperatorCredentials } from "../reconcile/own-secret.ts";

/** What the services of one DurableAgent last said; undefined: not asked yet. */
export interface StoreFindings {
  store: Finding | undefined;
  relay: Finding | undefined;
  tasks: TaskCounts | undefined;
}

/** How the rounds are made. */
export interface StoreWatchOptions {
  cluster: Cluster;
  agents: () => DurableAgent[];
  agentKey: (agent: DurableAgent) => string;
  credentials: () => OperatorCredentials;
  storeProbe: StoreProbe;
  relayProbe: RelayProbe;
  everyMs: number;
  /** Called for each DurableAgent of whose services there is news. */
  onNews: (agent: DurableAgent) => void;
  onFault: (error: unknown) => void;
}

/** The running rounds. */
export interface StoreWatch {
  findings(agent: DurableAgent): StoreFindings;
  /** Whether a round has begun since the DurableAgent was made or its spec changed. */
  wasAsked(agent: DurableAgent): boolean;
  /** Makes a round that begins now or, where one is under way, when that has ended. */
  refresh(): void;
  stop(): Promise<void>;
}

const nothing: StoreFindings = { store: undefined, relay: undefined, tasks: undefined };
const noTasks: TaskCounts = { working: 0, interrupted: 0, finished: 0 };

/** Starts the rounds; the first one comes with {@link StoreWatch.refresh} or after one interval. */
export function startStoreWatch(options: StoreWatchOptions): StoreWatch {
  const known = new Map<string, StoreFindings>();
  const asked = new Map<string, number | undefined>();
  let round: Promise<void> | undefined;
  let again = false;
  const rounds = async (): Promise<void> => {
    do {
      again = false;
      const agents = options.agents();
      asked.clear();
      for (const { metadata } of agents) asked.set(metadata.uid, metadata.generation);
      await makeRound(options, agents, known).catch(options.onFault);
    } while (again);
    round = undefined;
  };
  const refresh = (): void => {
    again = true;
    round ??= rounds();
  };
  const timer = setInterval(refresh, options.everyMs);
  return {
    findings: (agent) => known.get(agent.metadata.uid) ?? nothing,
    wasAsked: ({ metadata }) => asked.has(metadata.uid) && asked.get(metadata.uid) === metadata.generation,
    refresh,
    stop: async () => {
      clearInterval(timer);
      again = false;
      await round;
    },
  };
}

async function makeRound(
  options: StoreWatchOptions,
  agents: DurableAgent[],
  known: Map<string, StoreFindings>,
): Promise<void> {
  const reports = new Map<string, Promise<StoreReport>>();
  const relays = new Map<string, ReturnType<RelayProbe>>();
  const seen = new Set(agents.map((agent) => agent.metadata.uid));
  for (const uid of known.keys()) if (!seen.has(uid)) known.delete(uid);
  await Promise.all(
    agents.map(async (agent) => {
      const [store, relay] = await Promise.all([
        inspectStore(options, agent, reports),
        inspectRelay(options, agent, relays),
      ]);
      const findings = { ...store, relay };
      if (isDeepStrictEqual(findings, known.get(agent.metadata.uid))) return;
      known.set(agent.metadata.uid, findings);
      options.onNews(agent);
    }),
  );
}

/** Each database is asked once per round, however many DurableAgents share it. */
async function inspectStore(
  options: StoreWatchOptions,
  agent: DurableAgent,
  reports: Map<string, Promise<StoreReport>>,
): Promise<Pick<StoreFindings, "store" | "tasks">> {
  const { databaseUrl, databaseCa } = options.credentials();
  const own = await readSecret(options.cluster, agent, agent.spec.store.secretRef?.name);
  const url = own === undefined ? databaseUrl : own[SECRET_KEYS.url];
  const ca = own === undefined ? databaseCa : own[SECRET_KEYS.ca];
  if (url === undefined || (own === undefined && agent.spec.store.secretRef !== undefined)) {
    return { store: undefined, tasks: undefined };
  }
  const key = `${url}\n${ca ?? ""}`;
  const asked = reports.get(key) ?? options.storeProbe.inspect({ url, ...(ca === undefined ? {} : { ca }) });
  reports.set(key, asked);
  const report = await asked;
  if (report.kind !== "ready") {
    const reason = report.kind === "unreachable" ? "Unreachable" : "MigrationFailed";
    return { store: { status: "False", reason, message: report.message }, tasks: undefined };
  }
  return {
    store: { status: "True", reason: "Connected", message: "the database answered and has the right schema" },
    tasks: report.counts === undefined ? undefined : (report.counts.get(options.agentKey(agent)) ?? noTasks),
  };
}

async function inspectRelay(
  options: StoreWatchOptions,
  agent: DurableAgent,
  asked: Map<string, ReturnType<RelayProbe>>,
): Promise<Finding | undefined> {
  const name = agent.spec.relay.secretRef?.name;
  const own = await readSecret(options.cluster, agent, name);
  if (own === undefined && name !== undefined) {
    return { status: "False", reason: "SecretNotFound", message: `the Secret ${name} does not exist` };
  }
  const url = own === undefined ? options.credentials().natsUrl : own[SECRET_KEYS.url];
  if (url === undefined) return undefined;
  const answer = asked.get(url) ?? options.relayProbe(url);
  asked.set(url, answer);
  const outcome = await answer;
  return outcome.kind === "ready"
    ? { status: "True", reason: "Connected", message: "the NATS server answered" }
    : { status: "False", reason: "Unreachable", message: outcome.message };
}

async function readSecret(
  cluster: Cluster,
  agent: DurableAgent,
  name: string | undefined,
): Promise<Record<string, string> | undefined> {
  if (name === undefined) return undefined;
  const secret = await cluster.read(secrets, { namespace: agent.metadata.namespace, name });
  if (secret === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(secret.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, "base64").toString("utf8").trim(),
    ]),
  );
}
