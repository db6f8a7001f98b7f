/** Everything that only the leading replica does, from its first list to its last write. */
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { LABELS } from "@durable-agent/crds/contract";
import type { KubernetesObject, Workload } from "../kubernetes/objects.ts";
import { deployments, durableAgents, pods, services, statefulSets } from "../kubernetes/resource-types.ts";
import type { Cluster, ObjectCache, OpenCache } from "../ports/cluster.ts";
import type { EventRecorder, RelayProbe, StoreProbe } from "../ports/probes.ts";
import type { OperatorCredentials } from "../reconcile/own-secret.ts";
import { createAgentController, keysConcerning } from "./agent-controller.ts";
import { createAnnotationController } from "./annotation-controller.ts";
import { type CertificateControllerOptions, createCertificateController } from "./certificate-controller.ts";
import { startStoreWatch } from "./store-watch.ts";
import { type Requeue, startWorkQueue, type WorkQueue } from "./work-queue.ts";

/** What the duties need. */
export interface LeaderDutiesOptions {
  cluster: Cluster;
  openCache: OpenCache;
  namespaces: string[];
  /** Namespaces for which the webhooks are not called. */
  excludedNamespaces: readonly string[];
  clusterId: string;
  credentials: () => OperatorCredentials;
  sidecarVersion: string;
  events: EventRecorder;
  storeProbe: StoreProbe;
  relayProbe: RelayProbe;
  storeProbeMs: number;
  /** Undefined: somebody else keeps the certificates. */
  certificates: CertificateControllerOptions | undefined;
  onRound: (
    controller: string,
    outcome: "ok" | "error",
    error?: { key: string; error: unknown; retryInMs: number },
  ) => void;
  onFault: (error: unknown) => void;
}

/** The duties under way. */
export interface LeaderDuties {
  isSynced(): boolean;
  agents(): DurableAgent[];
  queueDepths(): Record<string, number>;
  /** Ends every loop; resolves when the last write is done. */
  stop(): Promise<void>;
}

/** Events of one change come in bursts; one round covers them. */
const settleMs = 200;

/** Takes the duties up. Certificates come first and wait for nothing, since admission hangs on them. */
export function takeUpDuties(options: LeaderDutiesOptions): LeaderDuties {
  const { cluster, openCache, namespaces, onFault } = options;
  const queue = (controller: string, concurrency: number, handle: (key: string) => Promise<Requeue>): WorkQueue =>
    startWorkQueue({
      concurrency,
      handle: async (key) => {
        const next = await handle(key);
        options.onRound(controller, "ok");
        return next;
      },
      onFailure: (key, error, retryInMs) => options.onRound(controller, "error", { key, error, retryInMs }),
    });

  const certificateQueue =
    options.certificates === undefined
      ? undefined
      : queue("certificate", 1, createCertificateController(options.certificates));
  certificateQueue?.add("webhook");

  const enqueueConcerned = (object: KubernetesObject): void => {
    for (const key of keysConcerning(agentCache.list(), object)) agentQueue.addAfter(key, settleMs);
  };
  const enqueueWorkload = (workload: Workload): void => {
    enqueueConcerned(workload);
    const { namespace = "", name = "" } = workload.metadata;
    annotationQueue.addAfter(`${workload.kind}/${namespace}/${name}`, settleMs);
  };
  const enqueueAgent = (agent: DurableAgent): void => {
    agentQueue.addAfter(keyOf(agent), settleMs);
    const { kind, name } = agent.spec.workload;
    annotationQueue.addAfter(`${kind}/${agent.metadata.namespace}/${name}`, settleMs);
    // Whoever shares the workload may have won or lost it.
    for (const other of agentCache.list(agent.metadata.namespace)) {
      if (other.spec.workload.kind === kind && other.spec.workload.name === name)
        agentQueue.addAfter(keyOf(other), settleMs);
    }
  };
  const agentCache: ObjectCache<DurableAgent & KubernetesObject> = openCache(
    durableAgents,
    { namespaces },
    enqueueAgent,
  );
  const workloadCaches: Record<string, ObjectCache<Workload>> = {
    Deployment: openCache(deployments, { namespaces }, enqueueWorkload),
    StatefulSet: openCache(statefulSets, { namespaces }, enqueueWorkload),
  };
  const triggers = [
    openCache(services, { namespaces }, enqueueConcerned),
    openCache(pods, { namespaces, labelSelector: LABELS.agent }, enqueueConcerned),
  ];
  const workloads = {
    get: (kind: string, namespace: string, name: string) => workloadCaches[kind]?.get(namespace, name),
  };
  const caches = [agentCache, ...Object.values(workloadCaches), ...triggers];
  const watch = startStoreWatch({
    cluster,
    agents: () => agentCache.list(),
    agentKey: ({ metadata }) => `${options.clusterId}/${metadata.namespace}/${metadata.name}`,
    credentials: options.credentials,
    storeProbe: options.storeProbe,
    relayProbe: options.relayProbe,
    everyMs: options.storeProbeMs,
    onNews: (agent) => agentQueue.add(keyOf(agent)),
    onFault,
  });
  const agentQueue = queue(
    "agent",
    4,
    createAgentController({
      cluster,
      agents: agentCache,
      workloads,
      events: options.events,
      credentials: options.credentials,
      findings: (agent) => {
        const findings = watch.findings(agent);
        // A workload is not touched before its database has answered, so a new DurableAgent waits for this round. One
        // that names no database at all is asked in the regular rounds: nothing it lacks is worth asking all others.
        if (findings.store === undefined && !watch.wasAsked(agent)) watch.refresh();
        return findings;
      },
      sidecarVersion: options.sidecarVersion,
      excludedNamespaces: options.excludedNamespaces,
    }),
  );
  const annotationQueue = queue(
    "annotation",
    2,
    createAnnotationController({ cluster, workloads, agentsOf: (namespace) => agentCache.list(namespace) }),
  );
  const queues = {
    agent: agentQueue,
    annotation: annotationQueue,
    ...(certificateQueue && { certificate: certificateQueue }),
  };
  return {
    isSynced: () => caches.every((cache) => cache.isSynced()),
    agents: () => agentCache.list(),
    queueDepths: () => Object.fromEntries(Object.entries(queues).map(([name, { depth }]) => [name, depth])),
    stop: async () => {
      for (const cache of caches) cache.stop();
      await Promise.all([...Object.values(queues).map((each) => each.stop()), watch.stop()]);
      await Promise.all(caches.map((cache) => cache.done));
    },
  };
}

function keyOf({ metadata }: DurableAgent): string {
  return `${metadata.namespace}/${metadata.name}`;
}
