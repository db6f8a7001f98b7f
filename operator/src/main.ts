/** Puts the operator together: settings → adapters → controllers → servers, and ends them in the opposite order. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { type Logger, pino } from "pino";
import { connect } from "./adapters/kubernetes/connection.ts";
import { createEventRecorder } from "./adapters/kubernetes/event-recorder.ts";
import { startReflector } from "./adapters/kubernetes/reflector.ts";
import { createCluster } from "./adapters/kubernetes/rest-cluster.ts";
import { createTrustPublisher } from "./adapters/kubernetes/trust-publisher.ts";
import { probeRelay } from "./adapters/nats/relay-probe.ts";
import { createStoreProbe } from "./adapters/postgres/store-probe.ts";
import { followFiles } from "./adapters/tls/file-source.ts";
import { createSecretStore, followSecret } from "./adapters/tls/secret-store.ts";
import { type Config, ConfigError, loadConfig } from "./config.ts";
import { standForElection } from "./controllers/leader-election.ts";
import { type LeaderDuties, takeUpDuties } from "./controllers/leader-duties.ts";
import { restoreAll } from "./controllers/uninstall.ts";
import { namespaces } from "./kubernetes/resource-types.ts";
import { ClusterError, type Cluster, type OpenCache } from "./ports/cluster.ts";
import { hashSidecarDefaults } from "./reconcile/config-hash.ts";
import type { OperatorCredentials } from "./reconcile/own-secret.ts";
import { startAdmissionServer } from "./server/admission-server.ts";
import { createMetrics } from "./server/metrics.ts";
import { startProbeServer } from "./server/probe-server.ts";

/** sysexits.h EX_CONFIG. */
const configExitCode = 78;
/** API servers follow a changed webhook configuration within a second. */
const publishDelayMs = 3_000;
const versionReadMs = 600_000;
const uninstallDeadlineMs = 600_000;
/** After `uninstall` has ended the Lease stays taken this long, until the operator's pods are gone. */
const uninstallLeaseMs = 15_000;

async function main(): Promise<void> {
  const config = loadConfig(process.env, hostname());
  const logger: Logger = pino({ level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  if (process.argv[2] === "uninstall") await uninstall(config, logger);
  else await operate(config, logger);
}

async function operate(config: Config, logger: Logger): Promise<void> {
  const connection = await connect(process.env);
  const cluster = createCluster(connection);
  const fault = (event: string) => (error: unknown) => logger.warn({ err: describe(error) }, event);
  let duties: LeaderDuties | undefined;
  let draining = false;
  const metrics = createMetrics({
    queueDepths: () => duties?.queueDepths() ?? {},
    agentsByReady: () => countByReady(duties),
  });
  const openCache: OpenCache = (type, selection, listener) =>
    startReflector({
      connection,
      type,
      ...selection,
      listener,
      onFault: (error) => {
        metrics.watchFaults.inc();
        fault("watch failed")(error);
      },
    });
  const secret = { name: config.webhookSecret, namespace: config.namespace };
  const certificates =
    config.webhookCertDir === undefined
      ? followSecret(openCache, secret)
      : followFiles(config.webhookCertDir, fault("certificate files unreadable"));
  const probes = await startProbeServer(
    {
      registry: metrics.registry,
      missing: () => (draining ? ["draining"] : findMissing(certificates.current() !== undefined, duties)),
    },
    { host: "::", port: config.probePort },
  );
  const clusterId = await readClusterId(cluster, fault("API server not reachable"));
  const version = await followVersion(cluster, fault("version unreadable"));
  const events = createEventRecorder(cluster, fault("event not recorded"));
  const admission = await startAdmissionServer(
    {
      cluster,
      clusterId,
      server: version.current,
      defaults: config.sidecar,
      events,
      certificates,
      metrics,
      log: (level, event, { error, ...fields }) =>
        logger[level]({ ...fields, ...(error === undefined ? {} : { err: describe(error) }) }, event),
    },
    { host: "::", port: config.webhookPort },
  );
  const storeProbe = createStoreProbe((event, fields) => logger.info(fields, event));
  const candidacy = standForElection({
    cluster,
    lease: { name: config.leaseName, namespace: config.namespace },
    identity: config.identity,
    leaseMs: config.leaseMs,
    renewDeadlineMs: Math.round(config.leaseMs * 0.7),
    retryMs: Math.round(config.leaseMs / 5),
    onOther: (holder) => logger.info({ holder }, "another replica leads"),
    onFault: fault("lease not renewed"),
  });
  logger.info({ webhookPort: admission.port, probePort: probes.port, clusterId }, "operator started");
  void candidacy.elected.then(() => {
    logger.info({ identity: config.identity }, "leading");
    metrics.leading.set(1);
    duties = takeUpDuties({
      cluster,
      openCache,
      namespaces: config.watchNamespaces,
      clusterId,
      credentials: () => readCredentials(config),
      sidecarVersion: hashSidecarDefaults(config.sidecar),
      events,
      storeProbe,
      relayProbe: probeRelay,
      storeProbeMs: config.storeProbeMs,
      certificates:
        config.webhookCertDir === undefined
          ? {
              store: createSecretStore(cluster, secret),
              publisher: createTrustPublisher(cluster, config.webhookConfiguration),
              dnsNames: config.dnsNames,
              now: () => new Date(),
              publishDelayMs,
              onStep: (step) => logger.info({ step }, "certificates rotated"),
              onExpiry: (kind, at) => metrics.certificateExpiry.set({ kind }, at.getTime() / 1000),
            }
          : undefined,
      onRound: (controller, outcome, failure) => {
        metrics.reconciles.inc({ controller, outcome });
        if (failure === undefined) return;
        const { key, error, retryInMs } = failure;
        const level = error instanceof ClusterError && error.fault === "conflict" ? "debug" : "warn";
        logger[level]({ controller, key, retryInMs, err: describe(error) }, "round failed");
      },
      onFault: fault("probe round failed"),
    });
  });
  const ended = await Promise.race([
    candidacy.lost.then(() => "lost" as const),
    signalled("SIGTERM"),
    signalled("SIGINT"),
  ]);
  logger.info({ why: ended }, "operator ending");
  if (ended === "lost") process.exit(1); // another replica leads: not one more write from here
  draining = true;
  const quiet = delay(config.shutdownQuietMs);
  await duties?.stop();
  await candidacy.stop();
  await events.flush();
  await quiet;
  await admission.stop();
  await certificates.stop();
  version.stop();
  await Promise.all([probes.stop(), storeProbe.close()]);
  await connection.close();
}

/** Restores every workload, as the holder of the Lease so that no replica works against it. */
async function uninstall(config: Config, logger: Logger): Promise<void> {
  const connection = await connect(process.env);
  const cluster = createCluster(connection);
  const candidacy = standForElection({
    cluster,
    lease: { name: config.leaseName, namespace: config.namespace },
    identity: `uninstall-${config.identity}`,
    leaseMs: uninstallLeaseMs,
    renewDeadlineMs: uninstallLeaseMs,
    retryMs: 2_000,
    preempt: true,
    onOther: (holder) => logger.info({ holder }, "taking the lease over"),
    onFault: (error) => logger.warn({ err: describe(error) }, "lease not taken"),
  });
  await candidacy.elected;
  const left = await restoreAll({
    cluster,
    namespaces: config.watchNamespaces,
    credentials: () => ({}),
    findings: () => ({ store: undefined, relay: undefined, tasks: undefined }),
    sidecarVersion: "",
    deadlineMs: uninstallDeadlineMs,
    onProgress: (text) => logger.info(text),
  });
  if (left.length > 0) {
    logger.error({ agents: left }, "workloads were not restored in time");
    // The operator stays, so it goes on.
    await candidacy.stop();
    process.exit(1);
  }
  // The Lease is kept until it runs out: a replica that is about to be removed must not stamp again what was restored.
  logger.info({ leaseMs: uninstallLeaseMs }, "every workload is as it was");
  process.exit(0);
}

function findMissing(hasCertificate: boolean, duties: LeaderDuties | undefined): string[] {
  return [
    ...(hasCertificate ? [] : ["no valid certificate"]),
    ...(duties === undefined || duties.isSynced() ? [] : ["caches are not synced"]),
  ];
}

function countByReady(duties: LeaderDuties | undefined): Record<string, number> {
  const counts: Record<string, number> = { True: 0, False: 0, Unknown: 0 };
  for (const { status } of duties?.agents() ?? []) {
    const ready = status?.conditions?.find((condition) => condition.type === "Ready")?.status ?? "Unknown";
    counts[ready] = (counts[ready] ?? 0) + 1;
  }
  return counts;
}

/** Tells clusters apart that share a database. Waits for the API server: nothing works without it. */
async function readClusterId(cluster: Cluster, onFault: (error: unknown) => void): Promise<string> {
  for (;;) {
    const system = await cluster.read(namespaces, { name: "kube-system" }).catch(onFault);
    if (system?.metadata.uid !== undefined) return system.metadata.uid.replaceAll("-", "").slice(0, 8);
    await delay(1_000);
  }
}

async function followVersion(
  cluster: Cluster,
  onFault: (error: unknown) => void,
): Promise<{ current: () => { major: number; minor: number }; stop: () => void }> {
  let version = await cluster.version();
  const timer = setInterval(() => {
    cluster.version().then((read) => {
      version = read;
    }, onFault);
  }, versionReadMs);
  return { current: () => version, stop: () => clearInterval(timer) };
}

/** Read on every use: whoever rotates a credential only changes its file. */
function readCredentials({ files }: Config): OperatorCredentials {
  const read = (file: string | undefined): string | undefined => {
    if (file === undefined) return undefined;
    try {
      return readFileSync(file, "utf8").trim() || undefined;
    } catch {
      return undefined; // a key that the chart's Secret does not have
    }
  };
  const entries = Object.entries(files).map(([key, file]) => [key, read(file)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function signalled(signal: "SIGTERM" | "SIGINT"): Promise<string> {
  return new Promise((resolve) => {
    process.once(signal, () => resolve(signal));
  });
}

/** Messages of the API server and of drivers name objects and hosts, never credentials. */
function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

try {
  await main();
} catch (error) {
  if (error instanceof ConfigError) {
    process.stderr.write(`${error.message}\n`);
    process.exit(configExitCode);
  }
  throw error;
}
