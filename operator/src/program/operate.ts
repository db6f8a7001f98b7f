/** One replica of the operator, from its first request to its last. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { type Connection, connect } from "../adapters/kubernetes/connection.ts";
import { createEventRecorder } from "../adapters/kubernetes/event-recorder.ts";
import { startReflector } from "../adapters/kubernetes/reflector.ts";
import { createCluster } from "../adapters/kubernetes/rest-cluster.ts";
import { createTrustPublisher } from "../adapters/kubernetes/trust-publisher.ts";
import { probeRelay } from "../adapters/nats/relay-probe.ts";
import { createStoreProbe } from "../adapters/postgres/store-probe.ts";
import { followFiles } from "../adapters/tls/file-source.ts";
import { createSecretStore, followSecret } from "../adapters/tls/secret-store.ts";
import type { Config } from "../config.ts";
import type { CertificateControllerOptions } from "../controllers/certificate-controller.ts";
import { type Candidacy, standForElection } from "../controllers/leader-election.ts";
import { type LeaderDuties, takeUpDuties } from "../controllers/leader-duties.ts";
import type { CertificateSource } from "../ports/certificates.ts";
import { type Cluster, ClusterError, type OpenCache } from "../ports/cluster.ts";
import type { EventRecorder, StoreProbe } from "../ports/probes.ts";
import { hashSidecarDefaults } from "../reconcile/config-hash.ts";
import { startAdmissionServer } from "../server/admission-server.ts";
import { createMetrics, type Metrics } from "../server/metrics.ts";
import { startProbeServer } from "../server/probe-server.ts";
import { followVersion, readClusterId } from "./cluster-facts.ts";
import { readCredentials } from "./credentials.ts";
import { describeFault, warn } from "./faults.ts";
import { findMissing } from "./readiness.ts";

/** API servers follow a changed webhook configuration within a second. */
const publishDelayMs = 3_000;

/** What the parts of one replica share. */
interface Replica {
  config: Config;
  logger: Logger;
  connection: Connection;
  cluster: Cluster;
  openCache: OpenCache;
  metrics: Metrics;
  events: EventRecorder;
  certificates: CertificateSource;
  storeProbe: StoreProbe;
  clusterId: string;
}

/** Runs until a signal comes or the Lease is lost. Resolves to the exit code. */
export async function operate(config: Config, logger: Logger): Promise<number> {
  const state: { duties?: LeaderDuties; draining: boolean } = { draining: false };
  const connection = await connect(process.env);
  const cluster = createCluster(connection);
  const metrics = createMetrics({
    queueDepths: () => state.duties?.queueDepths() ?? {},
    agentsByReady: () => countByReady(state.duties),
  });
  const openCache = createOpenCache(connection, metrics, warn(logger, "watch failed"));
  const certificates = followCertificates(config, openCache, logger);
  const probes = await startProbeServer(
    {
      registry: metrics.registry,
      missing: () => findMissing({ draining: state.draining, certificates, duties: state.duties, now: new Date() }),
    },
    { host: "::", port: config.probePort },
  );
  const clusterId = await readClusterId(cluster, warn(logger, "API server not reachable"));
  const version = await followVersion(cluster, warn(logger, "version unreadable"));
  const events = createEventRecorder(cluster, warn(logger, "event not recorded"));
  const storeProbe = createStoreProbe((event, fields) => logger.info(fields, event));
  const replica = {
    config,
    logger,
    connection,
    cluster,
    openCache,
    metrics,
    events,
    certificates,
    storeProbe,
    clusterId,
  };
  const admission = await serveWebhooks(replica, () => version.current());
  const candidacy = stand(replica);
  logger.info({ webhookPort: admission.port, probePort: probes.port, clusterId }, "operator started");
  void candidacy.elected.then(() => {
    state.duties = lead(replica);
  });
  const why = await Promise.race([candidacy.lost.then(() => "lost"), signalled("SIGTERM"), signalled("SIGINT")]);
  logger.info({ why }, "operator ending");
  if (why === "lost") return 1; // another replica leads: not one more write from here
  state.draining = true;
  const quiet = delay(config.shutdownQuietMs);
  await state.duties?.stop();
  await candidacy.stop();
  await events.flush();
  await quiet;
  await admission.stop();
  await certificates.stop();
  version.stop();
  await Promise.all([probes.stop(), storeProbe.close()]);
  await connection.close();
  return 0;
}

function createOpenCache(connection: Connection, metrics: Metrics, onFault: (error: unknown) => void): OpenCache {
  return (type, selection, listener) =>
    startReflector({
      connection,
      type,
      ...selection,
      listener,
      onFault: (error) => {
        metrics.watchFaults.inc();
        onFault(error);
      },
    });
}

function followCertificates(config: Config, openCache: OpenCache, logger: Logger): CertificateSource {
  return config.webhookCertDir === undefined
    ? followSecret(openCache, webhookSecret(config))
    : followFiles(config.webhookCertDir, warn(logger, "certificate files unreadable"));
}

function serveWebhooks(
  { config, logger, ...shared }: Replica,
  server: () => { major: number; minor: number },
): ReturnType<typeof startAdmissionServer> {
  const log: Parameters<typeof startAdmissionServer>[0]["log"] = (level, event, { error, ...fields }) =>
    logger[level]({ ...fields, ...(error === undefined ? {} : { err: describeFault(error) }) }, event);
  return startAdmissionServer(
    { ...shared, server, defaults: config.sidecar, log },
    { host: "::", port: config.webhookPort },
  );
}

function stand({ cluster, config, logger }: Replica): Candidacy {
  return standForElection({
    cluster,
    lease: { name: config.leaseName, namespace: config.namespace },
    identity: config.identity,
    leaseMs: config.leaseMs,
    renewDeadlineMs: Math.round(config.leaseMs * 0.7),
    retryMs: Math.round(config.leaseMs / 5),
    onOther: (holder) => logger.info({ holder }, "another replica leads"),
    onFault: warn(logger, "lease not renewed"),
  });
}

function lead(replica: Replica): LeaderDuties {
  const { config, logger, metrics } = replica;
  logger.info({ identity: config.identity }, "leading");
  metrics.leading.set(1);
  return takeUpDuties({
    ...replica,
    namespaces: config.watchNamespaces,
    excludedNamespaces: config.excludedNamespaces,
    credentials: () => readCredentials(config),
    sidecarVersion: hashSidecarDefaults(config.sidecar),
    relayProbe: probeRelay,
    storeProbeMs: config.storeProbeMs,
    certificates: config.webhookCertDir === undefined ? rotateCertificates(replica) : undefined,
    onRound: (controller, outcome, failure) => {
      metrics.reconciles.inc({ controller, outcome });
      if (failure === undefined) return;
      const { key, error, retryInMs } = failure;
      const level = error instanceof ClusterError && error.fault === "conflict" ? "debug" : "warn";
      logger[level]({ controller, key, retryInMs, err: describeFault(error) }, "round failed");
    },
    onFault: warn(logger, "probe round failed"),
  });
}

function rotateCertificates({ config, cluster, logger, metrics }: Replica): CertificateControllerOptions {
  return {
    store: createSecretStore(cluster, webhookSecret(config)),
    publisher: createTrustPublisher(cluster, config.webhookConfiguration),
    dnsNames: config.dnsNames,
    now: () => new Date(),
    publishDelayMs,
    onStep: (step) => logger.info({ step }, "certificates rotated"),
    onExpiry: (kind, at) => metrics.certificateExpiry.set({ kind }, at.getTime() / 1000),
  };
}

function webhookSecret({ webhookSecret: name, namespace }: Config): { name: string; namespace: string } {
  return { name, namespace };
}

function countByReady(duties: LeaderDuties | undefined): Record<string, number> {
  const counts: Record<string, number> = { True: 0, False: 0, Unknown: 0 };
  for (const { status } of duties?.agents() ?? []) {
    const ready = status?.conditions?.find((condition) => condition.type === "Ready")?.status ?? "Unknown";
    counts[ready] = (counts[ready] ?? 0) + 1;
  }
  return counts;
}

function signalled(signal: "SIGTERM" | "SIGINT"): Promise<string> {
  return new Promise((resolve) => {
    process.once(signal, () => resolve(signal));
  });
}
